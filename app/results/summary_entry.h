// What the runs of one precision say together: an entry of `summary` in results.json.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/results/paired.h"

namespace ampersand {

// A precision beside fp32 (docs/results.md, "When a precision differs from fp32").
struct ComparedWithFp32 {
  double difference = 0;     // of a share, or of fp32's value
  bool is_relative = false;  // to fp32's value
  std::optional<double> noise = {};
  bool within_noise = true;
  Finding finding = Finding::unknown;
  std::optional<std::pair<double, double>> interval = {};  // of 95 %
  double margin = 0;
  std::optional<std::int64_t> seeds_needed = {};
  std::int64_t pairs = 0;
  std::optional<double> deviation_of_pairs = {};
  std::int64_t degrees_of_freedom = 0;
};

struct SummaryEntry {
  std::string precision;
  std::string metric = {};  // the key of the measure that `mean` is of
  std::int64_t runs = 0, seeds = 0, diverged = 0, failed = 0;
  std::optional<double> mean = {}, deviation = {}, standard_error = {};  // over the seeds
  std::optional<double> samples_per_second = {}, tokens_per_second = {};
  std::map<std::string, double> others = {};                      // of the other measures, by key
  bool has_baseline = false;                                      // fp32 was run, too
  std::optional<double> speed_ratio = {}, activation_ratio = {};  // to fp32's
  std::optional<ComparedWithFp32> compared = {};

  // The precision's own place in "fp32 went non-finite in 1 of 3 runs".
  bool went_wrong() const { return diverged > 0 || failed > 0; }
};

nlohmann::json to_json(const SummaryEntry& entry);
// Fields that are not there keep their defaults, and further numbers are measures.
SummaryEntry summary_entry(const nlohmann::json& object);
std::vector<SummaryEntry> summary_entries(const nlohmann::json& summary);

const char* finding_name(Finding finding);  // "equal", "better", "worse", "unknown"

}  // namespace ampersand
