// What several runs say together.
#include "app/results/summary.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "app/results/comparison.h"
#include "app/results/json_fields.h"

namespace ampersand {
namespace {

using nlohmann::json;

struct Group {
  std::string precision;
  std::vector<SeedQuality> quality = {};  // in the metric
  std::vector<double> speed = {}, activations = {};
  std::vector<double> tokens = {};
  std::map<std::string, std::vector<double>> others = {};  // of the other measures, by key
  std::vector<SeedQuality> interrupted = {};  // quality of runs that were not trained to the end
  std::vector<const json*> finished = {};
  std::int64_t runs = 0, diverged = 0, failed = 0;
};

void collect(const json& run, const char* name, std::vector<double>& into) {
  if (const auto value = number_in(run, name)) into.push_back(*value);
}

void collect_quality(const json& run, const std::string& metric, Group& group) {
  const auto value = number_in(run, metric.c_str());
  if (!value) return;
  const bool interrupted = run.value("ending", "") == "interrupted";
  auto& into = interrupted ? group.interrupted : group.quality;
  // Runs that do not say their seed are told apart by their place.
  into.push_back({run.value("seed", group.runs), *value});
  if (!interrupted) group.finished.push_back(&run);
}

std::vector<Group> grouped(const json& runs, const std::vector<amp::Measure>& measures) {
  std::vector<Group> groups;
  for (const auto& run : runs) {
    const std::string precision = run.at("precision");
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](auto& g) { return g.precision == precision; });
    if (group == groups.end()) group = groups.insert(groups.end(), Group{.precision = precision});
    ++group->runs;
    const bool diverged = run.value("diverged", false), failed = run.value("failed", false);
    group->diverged += diverged ? 1 : 0;
    group->failed += failed ? 1 : 0;
    if (!diverged && !failed) collect_quality(run, measures.front().key, *group);
    collect(run, "samples_per_second", group->speed);
    collect(run, "activation_bytes", group->activations);
    collect(run, "tokens_per_second", group->tokens);
    if (diverged || failed) continue;
    for (const auto& other : std::span(measures).subspan(1))
      collect(run, other.key.c_str(), group->others[other.key]);
  }
  return groups;
}

std::optional<double> mean_of(const std::vector<double>& values) {
  return values.empty() ? std::nullopt : std::optional(mean_deviation(values).mean);
}

std::optional<double> ratio(const std::vector<double>& ours, const std::vector<double>& baseline) {
  const auto above = mean_of(ours), below = mean_of(baseline);
  if (!above || !below || *below <= 0) return std::nullopt;
  return *above / *below;
}

void add_quality(SummaryEntry& entry, const std::vector<SeedQuality>& quality) {
  entry.seeds = std::ssize(quality);
  if (quality.empty()) return;
  std::vector<double> values;
  for (const auto& one : quality) values.push_back(one.value);
  const auto own = mean_deviation(values);
  entry.mean = own.mean;
  if (quality.size() == 1) return;
  entry.deviation = own.deviation;
  entry.standard_error = own.standard_error;
}

SummaryEntry entry_of(const Group& group, const Group* baseline, const std::string& metric) {
  SummaryEntry entry{.precision = group.precision,
                     .metric = metric,
                     .runs = group.runs,
                     .diverged = group.diverged,
                     .failed = group.failed,
                     .samples_per_second = mean_of(group.speed),
                     .tokens_per_second = mean_of(group.tokens),
                     .has_baseline = baseline != nullptr};
  for (const auto& [key, values] : group.others) {
    if (const auto mean = mean_of(values)) entry.others[key] = *mean;
  }
  if (baseline != nullptr) {
    entry.speed_ratio = ratio(group.speed, baseline->speed);
    entry.activation_ratio = ratio(group.activations, baseline->activations);
  }
  add_quality(entry, group.quality.empty() ? group.interrupted : group.quality);
  return entry;
}

// What the comparisons of the others with this one have in common.
ComparisonBasis basis_of(const Group& baseline, const std::vector<Group>& groups,
                         const amp::Measure& measure, const SummaryOptions& options) {
  ComparisonBasis basis{
      .measure = measure, .test_samples = options.test_samples, .baseline = baseline.quality};
  basis.margin = options.margin.value_or(default_margin(measure));
  const auto compares = [&](const Group& group) {
    return &group != &baseline && !group.quality.empty();
  };
  basis.comparisons =
      std::max<std::int64_t>(1, std::count_if(groups.begin(), groups.end(), compares));
  const auto moved = grouped(options.perturbed_runs, {measure});
  if (!moved.empty()) basis.perturbed = moved.front().quality;
  for (const auto* run : baseline.finished) {
    if (moved.empty() || moved.front().finished.empty() || basis.late_variance.has_value()) break;
    const auto& again = *moved.front().finished.front();
    if (run->value("seed", 0) == again.value("seed", 0))
      basis.late_variance = late_variance_of(*run, again, basis);
  }
  if (!basis.late_variance.has_value())
    basis.late_variance = late_variance_of(baseline.finished, basis);
  return basis;
}

}  // namespace

json summarize(const json& runs, const SummaryOptions& options) {
  const auto measures = options.measures.empty() ? measures_of({{"runs", runs}}) : options.measures;
  const auto& measure = measures.front();
  const auto groups = grouped(runs, measures);
  const auto found =
      std::find_if(groups.begin(), groups.end(), [](auto& g) { return g.precision == kBaseline; });
  const auto* baseline = found == groups.end() ? nullptr : &*found;
  std::optional<ComparisonBasis> basis;
  if (baseline != nullptr) basis = basis_of(*baseline, groups, measure, options);
  json summary = json::array();
  for (const auto& group : groups) {
    auto entry = entry_of(group, baseline, measure.key);
    if (basis.has_value() && &group != baseline) entry.compared = compared(group.quality, *basis);
    summary.push_back(to_json(entry));
  }
  return summary;
}

}  // namespace ampersand
