// What the runs of one precision say together, as JSON and back.
#include "app/results/summary_entry.h"

#include <algorithm>
#include <array>
#include <set>

#include "app/results/json_fields.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr std::array kFindings = {"equal", "better", "worse", "unknown"};

Finding finding_named(const std::string& name) {
  const auto* const found = std::ranges::find(kFindings, name);
  return found == kFindings.end() ? Finding::unknown
                                  : static_cast<Finding>(found - kFindings.begin());
}

json to_json(const ComparedWithFp32& compared) {
  json interval;
  if (compared.interval.has_value())
    interval = {compared.interval->first, compared.interval->second};
  return {{"difference", compared.difference},
          {"scale", compared.is_relative ? "relative" : "absolute"},
          {"noise", in_json(compared.noise)},
          {"within_noise", compared.within_noise},
          {"verdict", finding_name(compared.finding)},
          {"interval", interval},
          {"margin", compared.margin},
          {"seeds_needed", in_json(compared.seeds_needed)},
          {"pairs", compared.pairs},
          {"deviation_of_pairs", in_json(compared.deviation_of_pairs)},
          {"degrees_of_freedom", compared.degrees_of_freedom}};
}

std::optional<ComparedWithFp32> compared_in(const json& object) {
  const auto difference = number_in(object, "difference");
  if (!difference.has_value()) return std::nullopt;
  ComparedWithFp32 compared{
      .difference = *difference,
      .is_relative = object.value("scale", "absolute") == "relative",
      .noise = number_in(object, "noise"),
      .within_noise = object.value("within_noise", true),
      .finding = finding_named(object.value("verdict", "unknown")),
      .margin = object.value("margin", 0.0),
      .seeds_needed = number_in<std::int64_t>(object, "seeds_needed"),
      .pairs = object.value("pairs", std::int64_t{0}),
      .deviation_of_pairs = number_in(object, "deviation_of_pairs"),
      .degrees_of_freedom = object.value("degrees_of_freedom", std::int64_t{0})};
  if (const auto interval = object.value("interval", json()); interval.is_array())
    compared.interval = {interval.at(0), interval.at(1)};
  return compared;
}

// What an entry has besides the measures.
const std::set<std::string> kFields = {"precision",
                                       "metric",
                                       "runs",
                                       "seeds",
                                       "diverged",
                                       "failed",
                                       "mean",
                                       "deviation",
                                       "standard_error",
                                       "samples_per_second",
                                       "tokens_per_second",
                                       "speed_ratio",
                                       "activation_ratio",
                                       "difference",
                                       "scale",
                                       "noise",
                                       "within_noise",
                                       "verdict",
                                       "interval",
                                       "margin",
                                       "seeds_needed",
                                       "pairs",
                                       "deviation_of_pairs",
                                       "degrees_of_freedom"};

}  // namespace

const char* finding_name(Finding finding) { return kFindings[static_cast<std::size_t>(finding)]; }

json to_json(const SummaryEntry& entry) {
  json object = {{"precision", entry.precision}, {"metric", entry.metric},
                 {"runs", entry.runs},           {"seeds", entry.seeds},
                 {"diverged", entry.diverged},   {"failed", entry.failed}};
  if (entry.samples_per_second) object["samples_per_second"] = *entry.samples_per_second;
  if (entry.tokens_per_second) object["tokens_per_second"] = *entry.tokens_per_second;
  for (const auto& [key, value] : entry.others) object[key] = value;
  if (entry.has_baseline) {
    object["speed_ratio"] = in_json(entry.speed_ratio);
    object["activation_ratio"] = in_json(entry.activation_ratio);
  }
  if (entry.mean) {
    object["mean"] = *entry.mean;
    object["deviation"] = in_json(entry.deviation);
    object["standard_error"] = in_json(entry.standard_error);
  }
  if (entry.compared) object.update(to_json(*entry.compared));
  return object;
}

SummaryEntry summary_entry(const json& object) {
  const auto count = [&](const char* name) { return object.value(name, std::int64_t{0}); };
  SummaryEntry entry{.precision = object.value("precision", ""),
                     .metric = object.value("metric", ""),
                     .runs = count("runs"),
                     .seeds = count("seeds"),
                     .diverged = count("diverged"),
                     .failed = count("failed"),
                     .mean = number_in(object, "mean"),
                     .deviation = number_in(object, "deviation"),
                     .standard_error = number_in(object, "standard_error"),
                     .samples_per_second = number_in(object, "samples_per_second"),
                     .tokens_per_second = number_in(object, "tokens_per_second"),
                     .has_baseline = object.contains("speed_ratio"),
                     .speed_ratio = number_in(object, "speed_ratio"),
                     .activation_ratio = number_in(object, "activation_ratio"),
                     .compared = compared_in(object)};
  for (const auto& [name, value] : object.items()) {
    if (value.is_number() && !kFields.contains(name)) entry.others[name] = value;
  }
  return entry;
}

std::vector<SummaryEntry> summary_entries(const json& summary) {
  std::vector<SummaryEntry> entries;
  for (const auto& object : summary) entries.push_back(summary_entry(object));
  return entries;
}

}  // namespace ampersand
