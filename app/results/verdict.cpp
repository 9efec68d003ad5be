// What the summary says, in sentences.
#include "app/results/verdict.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "app/results/comparison.h"
#include "app/terminal/formatted.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr double kWorthwhile = 0.05;  // of speed or of memory; less is measured by chance
constexpr double kClearly = 0.2;      // speeds move by so much from one run to the next

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

bool is_share_of_fp32(const json& entry) { return entry.at("scale") == "relative"; }

std::string finding_phrase(const json& entry) {
  const auto finding = entry.at("verdict").get<std::string>();
  const auto precision = entry.at("precision").get<std::string>();
  if (finding == "equal") return precision + " equals fp32 within " + margin_text(entry);
  if (finding == "unknown") return "Cannot tell " + precision + " from fp32 in this run";
  return precision + " is " + finding + " than fp32";
}

// "91.20 % against 91.31 %"; an accuracy needs no name.
std::string qualities(const json& entry, const json& baseline, const amp::Measure& measure) {
  return (measure.key == amp::accuracy_measure().key ? "" : measure.name + " ") +
         value_in_words(measure, entry.at("mean")) + " against " +
         value_in_words(measure, baseline.at("mean"));
}

std::string seeds_phrase(const json& entry) {
  if (entry.at("verdict") != "unknown") return "";
  if (!entry.at("interval").is_array()) return "; its noise was not measured";
  if (!entry.at("seeds_needed").is_number()) return "; not even 100 seeds would";
  const auto seeds = entry.at("seeds_needed").dump();
  return "; about " + seeds + " seeds would (--seeds " + seeds + ")";
}

// "1.26 x fp32's speed and 0.50 x its activation memory"; empty where neither is known.
std::string cost_phrase(const json& entry) {
  const auto& speed = entry.at("speed_ratio");
  const auto& memory = entry.at("activation_ratio");
  std::string text;
  if (speed.is_number()) text += formatted("%.2f x fp32's speed", speed);
  if (memory.is_number()) {
    text += text.empty() ? "" : " and ";
    text += formatted("%.2f x ", memory);
    text += speed.is_number() ? "its activation memory" : "fp32's activation memory";
  }
  return text;
}

std::string comparison_sentence(const json& entry, const json& baseline,
                                const amp::Measure& measure) {
  auto text = finding_phrase(entry) + ": " + qualities(entry, baseline, measure);
  if (entry.at("interval").is_array()) text += " (95 % interval " + interval_text(entry) + ")";
  text += seeds_phrase(entry) + ".";
  const auto cost = cost_phrase(entry);
  return cost.empty() ? text : text + " It has " + cost + ".";
}

double ratio_of(const json& entry, const char* name) {
  const auto& found = entry.at(name);
  return found.is_number() ? found.get<double>() : 1;
}

bool saves(const json& entry) {
  return ratio_of(entry, "speed_ratio") >= 1 + kWorthwhile ||
         ratio_of(entry, "activation_ratio") <= 1 - kWorthwhile;
}

bool is_advisable(const json& entry) {
  const auto precision = entry.at("precision").get<std::string>();
  return entry.contains("verdict") && entry.at("diverged") == 0 && entry.at("failed") == 0 &&
         !precision.ends_with("-emulated") && !precision.ends_with("-unscaled") && saves(entry);
}

// The one with the most speed for its memory, of those with such verdicts; null: there is none.
const json* best_of(const json& summary, const std::vector<std::string_view>& findings) {
  const auto worth = [](const json& entry) {
    return ratio_of(entry, "speed_ratio") / std::max(0.01, ratio_of(entry, "activation_ratio"));
  };
  const json* best = nullptr;
  for (const auto& entry : summary) {
    if (!is_advisable(entry)) continue;
    const auto finding = entry.at("verdict").get<std::string>();
    if (std::ranges::find(findings, finding) == findings.end()) continue;
    if (best == nullptr || worth(entry) > (1 + kClearly) * worth(*best)) best = &entry;
  }
  return best;
}

const json* baseline_of(const json& summary) {
  for (const auto& entry : summary) {
    if (entry.at("precision") == kBaseline) return &entry;
  }
  return nullptr;
}

}  // namespace

std::string margin_text(const json& entry) {
  const double margin = 100 * entry.at("margin").get<double>();
  return formatted(is_share_of_fp32(entry) ? "%.2f %%" : "%.2f points", margin);
}

std::string interval_text(const json& entry) {
  const auto& interval = entry.at("interval");
  return formatted("%+.2f", 100 * interval.at(0).get<double>()) + " to " +
         formatted("%+.2f", 100 * interval.at(1).get<double>()) +
         (is_share_of_fp32(entry) ? " %" : " points");
}

json verdict(const json& summary, const json& runs, const amp::Measure& measure) {
  const auto* baseline = baseline_of(summary);
  json sentences = json::array();
  for (const auto& entry : summary) {
    if (entry.at("diverged").get<std::int64_t>() > 0)
      sentences.push_back(divergence_sentence(entry, runs));
    if (entry.at("failed").get<std::int64_t>() > 0)
      sentences.push_back(failure_sentence(entry, runs));
    if (entry.contains("verdict"))
      sentences.push_back(comparison_sentence(entry, *baseline, measure));
  }
  return sentences;
}

json takeaway(const json& summary) {
  const auto* baseline = baseline_of(summary);
  if (baseline == nullptr || !baseline->contains("mean") || summary.size() < 2) return nullptr;
  if (const auto* best = best_of(summary, {"equal", "better"})) {
    const auto precision = best->at("precision").get<std::string>();
    return "In short: use " + precision + ". It has " + cost_phrase(*best) + ", and " +
           (best->at("verdict") == "better"
                ? "it learns better here."
                : "it learns as well within " + margin_text(*best) + ".");
  }
  if (const auto* best = best_of(summary, {"unknown"})) {
    const auto& seeds = best->at("seeds_needed");
    return "In short: try " + best->at("precision").get<std::string>() + ". It has " +
           cost_phrase(*best) + ". This run cannot tell whether it learns as well within " +
           margin_text(*best) + (seeds.is_number() ? "; --seeds " + seeds.dump() + " would." : ".");
  }
  return "In short: stay with fp32. No other precision here saved time or memory and learned as "
         "well.";
}

}  // namespace ampersand
