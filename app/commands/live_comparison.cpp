// What `compare --inspect` writes.
#include "app/commands/live_comparison.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <utility>
#include <vector>

#include "amp/version.h"
#include "app/commands/output_folder.h"
#include "app/commands/session.h"
#include "app/files/own_files.h"
#include "app/files/write_file.h"
#include "app/inspection/beside_fp32.h"
#include "app/report/format.h"
#include "app/report/inspection_page.h"
#include "app/results/machine.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr std::size_t kRows = 20;

std::string shown(const json& value, const char* format) {
  if (!value.is_number()) return std::string(report::kDash);
  char text[32];
  std::snprintf(text, sizeof text, format, value.get<double>());
  return text;
}

std::string percent(const json& value) {
  return value.is_number() ? shown(100 * value.get<double>(), "%.2g %%")
                           : std::string(report::kDash);
}

// The furthest off first: what was lost, then by relative error, what hardly matters last.
std::vector<json> furthest(const json& list) {
  std::vector<json> rows(list.begin(), list.end());
  const auto key = [](const json& row) {
    const auto& error = row.at("relative_error");
    const int rank = row.at("lost").get<std::int64_t>() > 0 ? 2
                     : row.value("negligible", false)       ? 0
                                                            : 1;
    return std::pair(rank, error.is_number() ? error.get<double>() : 1e300);
  };
  std::ranges::stable_sort(rows, [&](const json& a, const json& b) { return key(a) > key(b); });
  if (rows.size() > kRows) rows.resize(kRows);
  return rows;
}

std::vector<std::string> deviation_cells(const json& row) {
  const auto compared = row.at("compared").get<double>();
  const auto beyond = compared > 0 ? json(row.at("beyond_ulp").get<double>() / compared) : json();
  return {percent(row.at("relative_error")), shown(row.at("cosine"), "%.6f"),
          shown(row.at("max_ulps"), "%.3g"), percent(beyond), shown(row.at("lost"), "%.0f")};
}

std::string table_of(const std::vector<json>& rows, std::vector<std::string> head,
                     std::vector<std::string> (*name)(const json&)) {
  for (const char* more : {"Relative error", "Cosine", "Max ulps", "Over 1 ulp", "Lost"})
    head.emplace_back(more);
  std::vector<std::vector<std::string>> cells;
  for (const auto& row : rows) {
    auto line = name(row);
    for (auto& cell : deviation_cells(row)) line.push_back(std::move(cell));
    cells.push_back(std::move(line));
  }
  return table_html(head, cells);
}

std::vector<std::string> op_name(const json& row) {
  const auto module = row.at("module").get<std::string>();
  return {(module.empty() ? "" : module + " ") + row.at("op").get<std::string>(), row.at("pass"),
          std::to_string(row.at("calls").get<std::int64_t>())};
}

std::vector<std::string> layer_name(const json& row) {
  const auto module = row.at("module").get<std::string>();
  return {module.empty() ? "(outside of a module)" : module, row.at("pass")};
}

std::vector<std::string> parameter_name(const json& row) { return {row.at("name")}; }

// The calls at which the error grows most, in their order.
std::string end_to_end_table(const json& calls) {
  const auto growth = [](const json& call) {
    return call.at("relative_error").is_number() && call.at("before").is_number()
               ? call.at("relative_error").get<double>() - call.at("before").get<double>()
               : 0.0;
  };
  std::vector<std::size_t> order(calls.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(
      order, [&](std::size_t a, std::size_t b) { return growth(calls[a]) > growth(calls[b]); });
  if (order.size() > kRows) order.resize(kRows);
  std::ranges::sort(order);
  std::vector<std::vector<std::string>> rows;
  for (const auto i : order) {
    const auto& call = calls[i];
    const auto module = call.at("module").get<std::string>();
    rows.push_back({call.at("op").get<std::string>(),
                    module.empty() ? "" : (call.at("after") == true ? "after " : "") + module,
                    percent(call.at("before")), percent(call.at("relative_error"))});
  }
  return table_html({"Op", "Layer", "Error before", "Error after"}, rows) +
         "<p class=\"note\">The forward pass beside one in fp32 from the same inputs and weights: "
         "what came "
         "before an op is a part of its error. The ops at which it grows most.</p>\n";
}

}  // namespace

LiveComparison::LiveComparison(std::filesystem::path folder, const Settings& settings,
                               std::int64_t every)
    : folder_(std::move(folder)), settings_(settings), every_(every) {
  remove_own_file(folder_, "inspect.json");
  all_ = {
      {"version", amp::version()}, {"command", the_command_line()},       {"created", timestamp()},
      {"every", every_},           {"settings", settings_json(settings)}, {"runs", json::array()}};
}

std::unique_ptr<Watch> LiveComparison::watch(const Precision& precision) const {
  if (is_fp32(precision)) return nullptr;
  return std::make_unique<Watch>(precision.recipe,
                                 WatchOptions{.steps = std::numeric_limits<std::int64_t>::max(),
                                              .every = every_,
                                              .stop_at_fault = false,
                                              .beside_fp32 = true});
}

json LiveComparison::add(const RunPlan& plan, const Watch& watch) {
  const auto& name = plan.precision.name;
  const auto beside = beside_fp32_json(watch);
  const auto inspection = inspection_json(watch);
  const bool departs = !beside.at("first_departure").is_null();
  json run = {{"precision", name}, {"seed", plan.seed}, {"steps", inspection.at("steps")}};
  run.update(beside);
  all_["runs"].push_back(run);
  write_file(folder_ / "inspect.json",
             all_.dump(1, ' ', false, json::error_handler_t::replace) + "\n");

  InspectionPage page;
  page.title = name + " beside fp32, op by op";
  page.description =
      settings_.model + " on " + settings_.data + ", seed " + std::to_string(plan.seed) +
      "; every " + (every_ == 1 ? "micro-batch" : std::to_string(every_) + "th micro-batch") +
      ": each op computed again in fp32 on the same inputs, and the gradients of the parameters by "
      "an fp32 pass with the same weights.";
  page.tone = departs ? InspectionPage::Tone::plain : InspectionPage::Tone::fine;
  for (const auto& sentence : beside.at("sentences")) page.verdict.push_back(sentence);
  page.sections = {
      {"Ops furthest from fp32",
       table_of(furthest(beside.at("ops")), {"Op", "Pass", "Calls"}, op_name) +
           "<p class=\"note\">Relative error and cosine in the 2-norm, over all calls. An ulp is "
           "the "
           "distance of neighbouring numbers in the format. Lost: Inf or NaN where fp32 has a "
           "number.</p>\n"}};
  if (!beside.at("end_to_end").empty())
    page.sections.emplace_back("From the model's inputs on",
                               end_to_end_table(beside.at("end_to_end")));
  const auto& layers = beside.at("layers");
  page.tail = {
      {"Gradients of the parameters furthest from fp32",
       table_of(furthest(beside.at("parameters")), {"Parameter"}, parameter_name)},
      {"Layer by layer", table_of({layers.begin(), layers.end()}, {"Layer", "Pass"}, layer_name)}};
  page.results = {{"version", amp::version()},
                  {"created", all_.at("created")},
                  {"runs", {watched_run_json(plan.precision, plan.seed, inspection, false)}}};
  page.inspection = inspection;
  if (departs) page.inspection["verdict_pass"] = beside.at("first_departure").at("pass");
  const auto file = "inspect-" + name + ".html";
  write_file(folder_ / file, render_inspection(page));
  return {{"event", "inspection"},
          {"run", plan.run},
          {"every", every_},
          {"sentences", beside.at("sentences")},
          {"page", file}};
}

}  // namespace ampersand
