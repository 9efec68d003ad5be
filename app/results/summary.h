// What several runs say together: means, deviations, and whether a precision learns as fp32 does.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "app/results/mean_deviation.h"
#include "app/results/measures.h"

namespace ampersand {

struct SummaryOptions {
  std::int64_t test_samples = 0;  // that an accuracy is measured on; 0: unknown
  // fp32 from weights that were moved a little: how far it is from itself. No precision of the table.
  nlohmann::json perturbed_runs = nlohmann::json::array();
  std::optional<double> margin = {};  // 0.005: half a point, or half a percent
  // Of the runs, which are compared by the first; none: perplexity where a run has it, else accuracy.
  std::vector<amp::Measure> measures = {};
};

// One entry a precision, in the order of its first run. Precisions are compared with fp32 in pairs of runs
// with the same seed (comparison.h). Runs that diverged or failed have no part in the means, and
// interrupted ones none where another was finished; they are compared with nothing.
nlohmann::json summarize(const nlohmann::json& runs, const SummaryOptions& options);

}  // namespace ampersand
