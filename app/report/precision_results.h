// The runs of one precision together: what the summary table has a column for.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "app/report/fields.h"
#include "app/results/measures.h"

namespace ampersand::report {

// Views of the results, which must outlive them.
struct PrecisionResults {
  std::string precision;
  std::vector<const Json*> runs;  // one per seed, in the order of the results; never empty
  const Json* summary =
      nullptr;  // the entry of "summary" for this precision; null where there is none
};

// Groups "runs" by precision, in the order in which precisions first appear.
std::vector<PrecisionResults> group_by_precision(const Json& results);

// A mean over those runs that have the number; `count` says how many they were, at least 1.
struct Mean {
  double value;
  std::size_t count;
};
std::optional<Mean> mean_of(const PrecisionResults& results, const char* key);

// The first measure on the test data.
struct Quality {
  double mean;
  std::optional<double> deviation;  // sample standard deviation; absent for a single seed
  std::size_t seeds;
};
std::optional<Quality> quality_of(const PrecisionResults& results, const amp::Measure& measure);

// As the page tells a value of it, with one decimal less than a table of the terminal, but a share with its own.
std::string shown(const amp::Measure& measure, double value);
int decimals_of(const amp::Measure& measure);

// Samples per second (the summary's, else the runs' mean), and the runs' mean bytes of activations.
std::optional<double> speed_of(const PrecisionResults& results);
std::optional<double> activation_bytes_of(const PrecisionResults& results);

// The mean bytes of one part of "memory" ("weights", "activations", ...) over the runs that have
// it.
std::optional<double> mean_memory_part(const PrecisionResults& results, const char* part);

// Whether the program was interrupted during `run`: its "ending" says so, or, where it has none,
// the results do and this run, the last, has fewer steps than another.
bool was_interrupted(const Json& results, const Json& run);

}  // namespace ampersand::report
