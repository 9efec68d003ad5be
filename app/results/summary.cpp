// What several runs say together.
#include "app/results/summary.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace ampersand {
namespace {

using nlohmann::json;

constexpr double kHalfAPoint = 0.005;  // of accuracy, as a fraction
constexpr double kOnePercent = 0.01;   // of fp32's perplexity
constexpr const char* kBaseline = "fp32";

struct Group {
  std::string precision;
  std::vector<double> quality = {}, speed = {}, activations = {};  // quality: in the metric
  std::vector<double> tokens = {}, bits = {};
  std::vector<double> interrupted = {};  // quality of runs that were not trained to the end
  std::int64_t runs = 0, diverged = 0, failed = 0;
};

void collect(const json& run, const char* name, std::vector<double>& into) {
  const auto found = run.find(name);
  if (found != run.end() && found->is_number()) into.push_back(found->get<double>());
}

// Accuracy, or for models of text perplexity, which is better the lower it is.
const char* metric_of(const json& runs) {
  const auto has = [](const json& run) { return run.contains("perplexity"); };
  return std::any_of(runs.begin(), runs.end(), has) ? "perplexity" : "test_accuracy";
}

std::vector<Group> grouped(const json& runs, const char* metric) {
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
    const bool interrupted = run.value("ending", "") == "interrupted";
    if (!diverged && !failed)
      collect(run, metric, interrupted ? group->interrupted : group->quality);
    collect(run, "samples_per_second", group->speed);
    collect(run, "activation_bytes", group->activations);
    collect(run, "tokens_per_second", group->tokens);
    if (!diverged && !failed) collect(run, "bits_per_byte", group->bits);
  }
  return groups;
}

json ratio(const std::vector<double>& ours, const std::vector<double>& baseline) {
  if (ours.empty() || baseline.empty()) return nullptr;
  const double below = mean_deviation(baseline).mean;
  return below > 0 ? json(mean_deviation(ours).mean / below) : json(nullptr);
}

// Where there is one seed only, that of an accuracy p measured on n samples stands in for the
// deviation between seeds: sqrt(p (1 - p) / n), the binomial's. Of a perplexity nothing does.
double standard_error(const std::vector<double>& quality, bool perplexity, std::int64_t samples) {
  const auto measured = mean_deviation(quality);
  if (quality.size() > 1) return measured.standard_error;
  const double variance = measured.mean * (1 - measured.mean);
  return samples > 0 && !perplexity ? std::sqrt(variance / static_cast<double>(samples)) : 0;
}

void add_quality(json& entry, const std::vector<double>& quality) {
  if (quality.empty()) return;
  const auto own = mean_deviation(quality);
  const bool several = quality.size() > 1;
  entry["mean"] = own.mean;
  entry["deviation"] = several ? json(own.deviation) : json(nullptr);
  entry["standard_error"] = several ? json(own.standard_error) : json(nullptr);
}

void add_difference(json& entry, const std::vector<double>& quality,
                    const std::vector<double>& baseline, bool perplexity,
                    std::int64_t test_samples) {
  if (quality.empty() || baseline.empty()) return;
  const double fp32 = mean_deviation(baseline).mean;
  const double difference = mean_deviation(quality).mean - fp32;
  const double error = std::hypot(standard_error(quality, perplexity, test_samples),
                                  standard_error(baseline, perplexity, test_samples));
  const double noise = std::max(perplexity ? kOnePercent * fp32 : kHalfAPoint, 2 * error);
  entry["difference"] = difference;
  entry["noise"] = noise;
  entry["within_noise"] = std::abs(difference) <= noise;
}

json entry_of(const Group& group, const Group* baseline, const char* metric,
              std::int64_t test_samples) {
  const auto& shown = group.quality.empty() ? group.interrupted : group.quality;
  json entry = {{"precision", group.precision},
                {"metric", metric},
                {"runs", group.runs},
                {"seeds", shown.size()},
                {"diverged", group.diverged},
                {"failed", group.failed}};
  if (!group.speed.empty()) entry["samples_per_second"] = mean_deviation(group.speed).mean;
  if (!group.tokens.empty()) entry["tokens_per_second"] = mean_deviation(group.tokens).mean;
  if (!group.bits.empty()) entry["bits_per_byte"] = mean_deviation(group.bits).mean;
  if (baseline != nullptr) {
    entry["speed_ratio"] = ratio(group.speed, baseline->speed);
    entry["activation_ratio"] = ratio(group.activations, baseline->activations);
  }
  add_quality(entry, shown);
  if (baseline != nullptr && baseline != &group)
    add_difference(entry, group.quality, baseline->quality,
                   std::string_view(metric) == "perplexity", test_samples);
  return entry;
}

std::string formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string percent(double fraction) { return formatted("%.2f %%", 100 * fraction); }

std::string in_runs(const json& count, const json& all) {
  return " in " + count.dump() + " of " + all.dump() + (all == 1 ? " run" : " runs");
}

std::string divergence_sentence(const json& entry, const json& runs) {
  const std::string precision = entry.at("precision");
  auto first = std::numeric_limits<std::int64_t>::max();
  for (const auto& run : runs) {
    if (run.at("precision") == precision && run.value("diverged", false))
      first = std::min(first, run.at("diverged_at_step").get<std::int64_t>());
  }
  return precision + " went non-finite" + in_runs(entry.at("diverged"), entry.at("runs")) +
         " (first at step " + std::to_string(first) + ").";
}

// With the reason of the run that failed first.
std::string failure_sentence(const json& entry, const json& runs) {
  const json* first = nullptr;
  for (const auto& run : runs) {
    if (run.at("precision") != entry.at("precision") || !run.value("failed", false)) continue;
    if (first == nullptr || run.at("failed_at_step") < first->at("failed_at_step")) first = &run;
  }
  const auto reason = first->at("stopped");
  return entry.at("precision").get<std::string>() + " failed" +
         in_runs(entry.at("failed"), entry.at("runs")) + " (first at step " +
         first->at("failed_at_step").dump() + ")" +
         (reason.is_string() ? ": " + reason.get<std::string>() : "") + ".";
}

std::string comparison_sentence(const json& entry, const json& baseline) {
  std::string text = entry.at("precision").get<std::string>();
  const bool perplexity = entry.at("metric") == "perplexity";
  const std::string metric = perplexity ? "perplexity" : "accuracy";
  const auto shown = [&](const json& value) {
    return perplexity ? formatted("%.3f", value) : percent(value);
  };
  text += entry.at("within_noise").get<bool>() ? " keeps fp32's " + metric + ": "
                                               : " differs from fp32: " +
                                                     (perplexity ? metric + " " : std::string());
  text += shown(entry.at("mean")) + " against " + shown(baseline.at("mean"));
  text += entry.at("within_noise").get<bool>() ? ", within noise" : ", more than noise";
  if (entry.at("speed_ratio").is_number())
    text += "; " + formatted("%.2f", entry["speed_ratio"]) + " x its speed";
  if (entry.at("activation_ratio").is_number()) {
    text += ", " + formatted("%.2f", entry["activation_ratio"]) + " x its activation memory";
  }
  return text + ".";
}

}  // namespace

MeanDeviation mean_deviation(const std::vector<double>& values) {
  MeanDeviation result;
  if (values.empty()) return result;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) result.mean += value / n;
  if (values.size() == 1) return result;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.deviation = std::sqrt(squares / (n - 1));
  result.standard_error = result.deviation / std::sqrt(n);
  return result;
}

json summarize(const json& runs, std::int64_t test_samples) {
  const auto* metric = metric_of(runs);
  const auto groups = grouped(runs, metric);
  const auto baseline =
      std::find_if(groups.begin(), groups.end(), [](auto& g) { return g.precision == kBaseline; });
  json summary = json::array();
  for (const auto& group : groups) {
    summary.push_back(
        entry_of(group, baseline == groups.end() ? nullptr : &*baseline, metric, test_samples));
  }
  return summary;
}

json verdict(const json& summary, const json& runs) {
  const auto is_baseline = [](const json& entry) { return entry.at("precision") == kBaseline; };
  const auto baseline = std::find_if(summary.begin(), summary.end(), is_baseline);
  json sentences = json::array();
  for (const auto& entry : summary) {
    if (entry.at("diverged").get<std::int64_t>() > 0)
      sentences.push_back(divergence_sentence(entry, runs));
    if (entry.at("failed").get<std::int64_t>() > 0)
      sentences.push_back(failure_sentence(entry, runs));
    if (entry.contains("within_noise")) sentences.push_back(comparison_sentence(entry, *baseline));
  }
  return sentences;
}

}  // namespace ampersand
