// The table that ends `train` and `compare`.
#include "app/results/results_table.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "app/results/json_fields.h"
#include "app/results/measures.h"
#include "app/results/summary_entry.h"
#include "app/terminal/formatted.h"
#include "app/terminal/wrapped.h"

namespace ampersand {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

// The mean over the runs of one precision, or a dash.
std::string mean_cell(const std::vector<const json*>& runs, const char* name, const char* format,
                      double factor = 1) {
  double sum = 0;
  int count = 0;
  for (const auto* run : runs) {
    const auto value = number_in(*run, name);
    if (!value) continue;
    sum += *value;
    ++count;
  }
  return count == 0 ? "-" : formatted(format, factor * sum / count);
}

bool has_number(const json& runs, const char* name) {
  return std::ranges::any_of(runs,
                             [&](const json& run) { return number_in(run, name).has_value(); });
}

std::string quality_cell(const SummaryEntry& entry, const amp::Measure& measure) {
  if (!entry.mean) return "-";
  auto text = value_in_words(measure, *entry.mean);
  if (entry.deviation) text += " +- " + number_in_words(measure, *entry.deviation);
  return text;
}

std::string difference_cell(const SummaryEntry& entry) {
  if (!entry.compared) return "";
  const auto& compared = *entry.compared;
  return formatted("%+.2f", 100 * compared.difference) + unit_of_difference(compared.is_relative) +
         ", " +
         (compared.finding == Finding::unknown ? "cannot tell" : finding_name(compared.finding));
}

std::string other_cell(const SummaryEntry& entry, const amp::Measure& measure) {
  const auto found = entry.others.find(measure.key);
  return found == entry.others.end() ? "-" : value_in_words(measure, found->second);
}

std::string ratio_cell(const std::optional<double>& ratio) {
  return ratio ? formatted("%.2f", *ratio) : "-";
}

std::string ending_cell(const std::vector<const json*>& runs) {
  for (const auto* run : runs) {
    if (run->value("diverged", false))
      return "non-finite at step " + std::to_string(run->at("diverged_at_step").get<long>());
    if (run->value("failed", false))
      return "failed at step " + std::to_string(run->at("failed_at_step").get<long>());
    if (run->value("ending", "") == "interrupted") return "interrupted";
  }
  return "ok";
}

Row row_of(const SummaryEntry& entry, const json& all_runs,
           const std::vector<amp::Measure>& measures, const char* speed) {
  std::vector<const json*> runs;
  for (const auto& run : all_runs) {
    if (run.value("precision", "") == entry.precision) runs.push_back(&run);
  }
  const auto& first = measures.front();
  Row row = {entry.precision, quality_cell(entry, first), difference_cell(entry)};
  for (const auto& other : std::span(measures).subspan(1)) row.push_back(other_cell(entry, other));
  for (auto& cell :
       Row{mean_cell(runs, "train_loss", "%.4f"), mean_cell(runs, speed, "%.0f"),
           ratio_cell(entry.speed_ratio), mean_cell(runs, "activation_bytes", "%.1f", 1e-6),
           ratio_cell(entry.activation_ratio), mean_cell(runs, "peak_memory_bytes", "%.1f", 1e-6),
           mean_cell(runs, "skipped_steps", "%.3g"), mean_cell(runs, "final_scale", "%.6g"),
           ending_cell(runs)})
    row.push_back(std::move(cell));
  return row;
}

Row head_of(const std::vector<amp::Measure>& measures, bool has_tokens) {
  Row head = {"precision", column_name(measures.front()), "against fp32"};
  for (const auto& other : std::span(measures).subspan(1)) head.push_back(column_name(other));
  for (const char* name : {"loss", has_tokens ? "tokens/s" : "samples/s", "x fp32", "act. MB",
                           "x fp32", "peak MB", "skipped", "scale", "ending"})
    head.push_back(name);
  return head;
}

constexpr std::size_t kGap = 2;  // between columns

using Columns = std::vector<std::size_t>;

// Which columns go side by side: the first comes again in each table.
std::vector<Columns> fitted_columns(const std::vector<std::size_t>& widths, std::size_t width) {
  std::vector<Columns> tables = {{0}};
  std::size_t used = widths[0];
  for (std::size_t i = 1; i < widths.size(); ++i) {
    if (widths[i] == 0) continue;
    if (width > 0 && used + kGap + widths[i] > width && tables.back().size() > 1) {
      tables.push_back({0});
      used = widths[0];
    }
    tables.back().push_back(i);
    used += kGap + widths[i];
  }
  return tables;
}

std::string aligned(const std::vector<Row>& rows, const std::vector<std::size_t>& widths,
                    const Columns& columns) {
  std::string lines;
  for (const auto& row : rows) {
    std::string line;
    for (const auto i : columns)
      line += row[i] + std::string(widths[i] - characters(row[i]) + kGap, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    lines += line + "\n";
  }
  return lines;
}

}  // namespace

std::string results_table(const json& results, std::size_t width) {
  const auto measures = measures_of(results);
  const bool has_tokens = has_number(results.at("runs"), "tokens_per_second");
  std::vector<Row> rows = {head_of(measures, has_tokens)};
  for (const auto& entry : summary_entries(results.at("summary")))
    rows.push_back(row_of(entry, results.at("runs"), measures,
                          has_tokens ? "tokens_per_second" : "samples_per_second"));
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], characters(row[i]));
  }
  std::string text;
  for (const auto& columns : fitted_columns(widths, width))
    text += (text.empty() ? "" : "\n") + aligned(rows, widths, columns);
  // The last line is what to take from it.
  if (results.contains("takeaway"))
    text += "\n" + wrapped(results.at("takeaway").get<std::string>(), width) + "\n";
  return text;
}

}  // namespace ampersand
