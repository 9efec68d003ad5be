// What several runs say together: mean, deviation, and whether a difference to fp32 is more than
// noise.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

namespace ampersand {

struct MeanDeviation {
  double mean = 0;
  double deviation = 0;       // of the sample (n - 1); 0 for one value
  double standard_error = 0;  // deviation / sqrt(n)
};
MeanDeviation mean_deviation(const std::vector<double>& values);

// One entry a precision, in the order of its first run. The difference to fp32 is noise if it is at
// most max(0.5 points of accuracy or 1 % of fp32's perplexity, 2 standard errors of the difference).
// With one seed the standard error is that of an accuracy measured on test_samples samples, and of a
// perplexity 0; 0 samples: unknown. Runs that diverged have no part
// in the means, and interrupted ones none where another was finished; they are compared with
// nothing.
nlohmann::json summarize(const nlohmann::json& runs, std::int64_t test_samples);

// Sentences for a reader in a hurry, made from the summary.
nlohmann::json verdict(const nlohmann::json& summary, const nlohmann::json& runs);

}  // namespace ampersand
