// The runs of one precision together: what the summary table has a column for.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "app/report/fields.h"

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

// The quality on the test data: an accuracy (fraction, higher is better) or a perplexity (lower is
// better).
struct Quality {
  double mean;
  std::optional<double> deviation;  // sample standard deviation; absent for a single seed
  std::size_t seeds;
};
bool has_perplexity(const Json& results);  // whether the results are judged by perplexity
std::optional<Quality> quality_of(const PrecisionResults& results, bool perplexity);

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
