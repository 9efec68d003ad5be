// Grouping runs by precision, and the means over their seeds.
#include "app/report/precision_results.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "app/report/format.h"

namespace ampersand::report {
namespace {

const Json* summary_of(const Json& results, const std::string& precision) {
  for (const Json& entry : list(results, "summary")) {
    if (text(entry, "precision") == precision) return &entry;
  }
  return nullptr;
}

std::optional<double> summary_number(const PrecisionResults& results, const char* key) {
  return results.summary == nullptr ? std::nullopt : number(*results.summary, key);
}

std::optional<Mean> mean_of(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return Mean{sum / static_cast<double>(values.size()), values.size()};
}

// Mean and sample standard deviation over the runs, for results without a summary.
std::optional<Quality> quality_of_runs(const PrecisionResults& results, const char* key) {
  const std::optional<Mean> mean = mean_of(results, key);
  if (!mean) return std::nullopt;
  double squares = 0;
  for (const Json* run : results.runs) {
    if (const auto value = number(*run, key)) squares += std::pow(*value - mean->value, 2);
  }
  std::optional<double> deviation;
  if (mean->count > 1) deviation = std::sqrt(squares / static_cast<double>(mean->count - 1));
  return Quality{mean->value, deviation, mean->count};
}

}  // namespace

std::vector<PrecisionResults> group_by_precision(const Json& results) {
  std::vector<PrecisionResults> groups;
  for (const Json& run : list(results, "runs")) {
    const std::string precision = text(run, "precision").value_or("");
    auto group = std::find_if(groups.begin(), groups.end(), [&](const PrecisionResults& candidate) {
      return candidate.precision == precision;
    });
    if (group == groups.end()) {
      groups.push_back({precision, {}, summary_of(results, precision)});
      group = groups.end() - 1;
    }
    group->runs.push_back(&run);
  }
  return groups;
}

std::optional<Mean> mean_of(const PrecisionResults& results, const char* key) {
  std::vector<double> values;
  for (const Json* run : results.runs) {
    if (const auto value = number(*run, key)) values.push_back(*value);
  }
  return mean_of(values);
}

std::optional<Quality> quality_of(const PrecisionResults& results, const amp::Measure& measure) {
  const auto mean = summary_number(results, "mean");
  if (!mean) return quality_of_runs(results, measure.key.c_str());
  const double seeds = summary_number(results, "seeds").value_or(0);
  const bool usable = seeds >= 1 && seeds < 1e6;
  return Quality{*mean, summary_number(results, "deviation"),
                 usable ? static_cast<std::size_t>(seeds) : results.runs.size()};
}

int decimals_of(const amp::Measure& measure) {
  return is_relative(measure) ? std::max(0, measure.decimals - 1) : measure.decimals;
}

std::string shown(const amp::Measure& measure, double value) {
  return is_relative(measure) ? grouped(value, decimals_of(measure))
                              : percent(value, measure.decimals);
}

std::optional<double> speed_of(const PrecisionResults& results) {
  if (const auto speed = summary_number(results, "samples_per_second")) return speed;
  const auto mean = mean_of(results, "samples_per_second");
  return mean ? std::optional(mean->value) : std::nullopt;
}

std::optional<double> activation_bytes_of(const PrecisionResults& results) {
  const auto mean = mean_of(results, "activation_bytes");
  return mean ? std::optional(mean->value) : std::nullopt;
}

std::optional<double> mean_memory_part(const PrecisionResults& results, const char* part) {
  std::vector<double> values;
  for (const Json* run : results.runs) {
    if (const auto bytes = number(section(*run, "memory"), part)) values.push_back(*bytes);
  }
  const auto mean = mean_of(values);
  return mean ? std::optional(mean->value) : std::nullopt;
}

bool was_interrupted(const Json& results, const Json& run) {
  if (const auto ending = text(run, "ending")) return *ending == "interrupted";
  const Json& runs = list(results, "runs");
  if (!flag(results, "interrupted") || &run != &runs.back()) return false;
  const auto steps = number(run, "steps");
  if (runs.size() == 1 || !steps) return true;
  return std::any_of(runs.begin(), runs.end(), [&](const Json& other) {
    return number(other, "steps").value_or(0) > *steps;
  });
}

}  // namespace ampersand::report
