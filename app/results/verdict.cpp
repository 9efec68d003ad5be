// What the summary says, in sentences.
#include "app/results/verdict.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/results/comparison.h"
#include "app/results/summary_entry.h"
#include "app/terminal/formatted.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr double kWorthwhile = 0.05;  // of speed or of memory; less is measured by chance
constexpr double kClearly = 0.2;      // speeds move by so much from one run to the next

using Entries = std::vector<SummaryEntry>;

std::string in_runs(std::int64_t count, const SummaryEntry& entry) {
  return " in " + std::to_string(count) + " of " + std::to_string(entry.runs) +
         (entry.runs == 1 ? " run" : " runs");
}

std::string divergence_sentence(const SummaryEntry& entry, const json& runs) {
  auto first = std::numeric_limits<std::int64_t>::max();
  for (const auto& run : runs) {
    if (run.value("precision", "") == entry.precision && run.value("diverged", false))
      first = std::min(first, run.value("diverged_at_step", first));
  }
  return entry.precision + " went non-finite" + in_runs(entry.diverged, entry) +
         " (first at step " + std::to_string(first) + ").";
}

// With the reason of the run that failed first.
std::string failure_sentence(const SummaryEntry& entry, const json& runs) {
  auto first = std::numeric_limits<std::int64_t>::max();
  std::string reason;
  for (const auto& run : runs) {
    if (run.value("precision", "") != entry.precision || !run.value("failed", false)) continue;
    const auto step = run.value("failed_at_step", first);
    if (step >= first) continue;
    first = step;
    const auto stopped = run.value("stopped", json());
    reason = stopped.is_string() ? ": " + stopped.get<std::string>() : "";
  }
  return entry.precision + " failed" + in_runs(entry.failed, entry) + " (first at step " +
         std::to_string(first) + ")" + reason + ".";
}

std::string margin_text(const ComparedWithFp32& compared) {
  return formatted("%.2f", 100 * compared.margin) + unit_of_difference(compared.is_relative);
}

// "-0.31 to +0.15 points".
std::string interval_text(const ComparedWithFp32& compared) {
  return formatted("%+.2f", 100 * compared.interval->first) + " to " +
         formatted("%+.2f", 100 * compared.interval->second) +
         unit_of_difference(compared.is_relative);
}

std::string finding_phrase(const std::string& precision, const ComparedWithFp32& compared) {
  if (compared.finding == Finding::equal)
    return precision + " equals fp32 within " + margin_text(compared);
  if (compared.finding == Finding::unknown)
    return "Cannot tell " + precision + " from fp32 in this run";
  return precision + " is " + finding_name(compared.finding) + " than fp32";
}

// "91.20 % against 91.31 %"; an accuracy needs no name.
std::string qualities(const SummaryEntry& entry, const SummaryEntry& baseline,
                      const amp::Measure& measure) {
  return (measure.key == amp::accuracy_measure().key ? "" : measure.name + " ") +
         value_in_words(measure, entry.mean.value_or(0)) + " against " +
         value_in_words(measure, baseline.mean.value_or(0));
}

std::string seeds_phrase(const ComparedWithFp32& compared) {
  if (compared.finding != Finding::unknown) return "";
  if (!compared.interval) return "; its noise was not measured";
  if (!compared.seeds_needed) return "; not even 100 seeds would";
  const auto seeds = std::to_string(*compared.seeds_needed);
  return "; about " + seeds + " seeds would (--seeds " + seeds + ")";
}

// "1.26 x fp32's speed and 0.50 x its activation memory"; empty where neither is known.
std::string cost_phrase(const SummaryEntry& entry) {
  std::string text;
  if (entry.speed_ratio) text += formatted("%.2f x fp32's speed", *entry.speed_ratio);
  if (entry.activation_ratio) {
    text += text.empty() ? "" : " and ";
    text += formatted("%.2f x ", *entry.activation_ratio);
    text += entry.speed_ratio ? "its activation memory" : "fp32's activation memory";
  }
  return text;
}

std::string comparison_sentence(const SummaryEntry& entry, const SummaryEntry& baseline,
                                const amp::Measure& measure) {
  const auto& compared = *entry.compared;
  auto text =
      finding_phrase(entry.precision, compared) + ": " + qualities(entry, baseline, measure);
  if (compared.interval) text += " (95 % interval " + interval_text(compared) + ")";
  text += seeds_phrase(compared) + ".";
  const auto cost = cost_phrase(entry);
  return cost.empty() ? text : text + " It has " + cost + ".";
}

bool saves(const SummaryEntry& entry) {
  return entry.speed_ratio.value_or(1) >= 1 + kWorthwhile ||
         entry.activation_ratio.value_or(1) <= 1 - kWorthwhile;
}

bool is_advisable(const SummaryEntry& entry) {
  return entry.compared.has_value() && !entry.went_wrong() &&
         !entry.precision.ends_with("-emulated") && !entry.precision.ends_with("-unscaled") &&
         saves(entry);
}

// The one with the most speed for its memory, of those with such findings; null: there is none.
const SummaryEntry* best_of(const Entries& entries, const std::vector<Finding>& findings) {
  const auto worth = [](const SummaryEntry& entry) {
    return entry.speed_ratio.value_or(1) / std::max(0.01, entry.activation_ratio.value_or(1));
  };
  const SummaryEntry* best = nullptr;
  for (const auto& entry : entries) {
    if (!is_advisable(entry)) continue;
    if (std::ranges::find(findings, entry.compared->finding) == findings.end()) continue;
    if (best == nullptr || worth(entry) > (1 + kClearly) * worth(*best)) best = &entry;
  }
  return best;
}

const SummaryEntry* baseline_of(const Entries& entries) {
  const auto found = std::ranges::find(entries, kBaseline, &SummaryEntry::precision);
  return found == entries.end() ? nullptr : &*found;
}

}  // namespace

json verdict(const json& summary, const json& runs, const std::optional<amp::Measure>& given) {
  const auto entries = summary_entries(summary);
  const auto measure = given.value_or(measure_named(entries.empty() ? "" : entries[0].metric));
  const auto* baseline = baseline_of(entries);
  json sentences = json::array();
  for (const auto& entry : entries) {
    if (entry.diverged > 0) sentences.push_back(divergence_sentence(entry, runs));
    if (entry.failed > 0) sentences.push_back(failure_sentence(entry, runs));
    if (entry.compared) sentences.push_back(comparison_sentence(entry, *baseline, measure));
  }
  return sentences;
}

json takeaway(const json& summary) {
  const auto entries = summary_entries(summary);
  const auto* baseline = baseline_of(entries);
  if (baseline == nullptr || !baseline->mean || entries.size() < 2) return nullptr;
  if (const auto* best = best_of(entries, {Finding::equal, Finding::better})) {
    return "In short: use " + best->precision + ". It has " + cost_phrase(*best) + ", and " +
           (best->compared->finding == Finding::better
                ? "it learns better here."
                : "it learns as well within " + margin_text(*best->compared) + ".");
  }
  if (const auto* best = best_of(entries, {Finding::unknown})) {
    const auto& seeds = best->compared->seeds_needed;
    return "In short: try " + best->precision + ". It has " + cost_phrase(*best) +
           ". This run cannot tell whether it learns as well within " +
           margin_text(*best->compared) +
           (seeds ? "; --seeds " + std::to_string(*seeds) + " would." : ".");
  }
  return "In short: stay with fp32. No other precision here saved time or memory and learned as "
         "well.";
}

}  // namespace ampersand
