// The table at the head of the report: a row per measure, a column per precision.
#include "app/report/summary_table.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/report/format.h"
#include "app/report/precision_results.h"
#include "app/report/status.h"
#include "app/results/measures.h"

namespace ampersand::report {
namespace {

struct Table {
  const Json& results;
  std::vector<PrecisionResults> columns;
  const PrecisionResults* baseline = nullptr;  // fp32, where it was run
  std::vector<amp::Measure> measures =
      {};  // of the quality, the first that precisions are compared by

  const amp::Measure& measure() const { return measures.front(); }
};

// What a cell says: a number, a smaller remark under it, and a mark such as "within noise". All
// plain text.
struct Cell {
  std::string value = std::string(kDash);
  std::string note = {};
  std::string mark = {};
  std::string_view mark_style = {};
};

struct Row {
  std::string name;
  std::string meaning;  // one line for a reader who is new to the field
  std::function<Cell(const Table&, const PrecisionResults&)> cell;
  bool compares = false;  // left out where there is only one precision
};

std::string seeds_phrase(std::size_t seeds) {
  return std::to_string(seeds) + (seeds == 1 ? " seed" : " seeds");
}

Cell quality_cell(const Table& table, const PrecisionResults& column) {
  const auto& measure = table.measure();
  const auto quality = quality_of(column, measure);
  if (!quality) return {};
  Cell cell{.value = shown(measure, quality->mean)};
  if (quality->deviation)
    cell.note =
        "± " + grouped(factor_of(measure) * *quality->deviation, decimals_of(measure)) + ", ";
  cell.note += seeds_phrase(quality->seeds);
  return cell;
}

std::optional<double> difference_of(const Table& table, const PrecisionResults& column) {
  if (column.summary != nullptr) {
    if (const auto difference = number(*column.summary, "difference")) return difference;
  }
  if (table.baseline == nullptr) return std::nullopt;
  const auto mine = quality_of(column, table.measure());
  const auto theirs = quality_of(*table.baseline, table.measure());
  if (!mine || !theirs) return std::nullopt;
  return mine->mean - theirs->mean;
}

// The verdict, the interval it comes from, and how many seeds would tell.
Cell judged_cell(const Json& summary, double difference) {
  const bool relative = text(summary, "scale") == "relative";
  const std::string unit = unit_of_difference(relative);
  Cell cell{.value = with_sign(100 * difference, 2) + unit};
  const std::string verdict = *text(summary, "verdict");
  cell.mark = verdict == "unknown" ? "cannot tell" : verdict;
  cell.mark_style = verdict == "equal" || verdict == "better" ? "good" : "warn";
  if (const auto margin = number(summary, "margin"); margin && verdict == "equal")
    cell.mark += " within " + grouped(100 * *margin, 2) + unit;
  const Json& interval = list(summary, "interval");
  if (interval.size() == 2 && interval[0].is_number() && interval[1].is_number()) {
    cell.note = "95 % interval " + with_sign(100 * interval[0].get<double>(), 2) + " to " +
                with_sign(100 * interval[1].get<double>(), 2);
  }
  if (const auto seeds = number(summary, "seeds_needed"))
    cell.note += (cell.note.empty() ? "about " : "; about ") + grouped(*seeds) + " seeds would";
  return cell;
}

Cell difference_cell(const Table& table, const PrecisionResults& column) {
  if (&column == table.baseline) return {.value = "baseline"};
  const auto difference = difference_of(table, column);
  if (!difference) return {};
  const Json& summary = column.summary == nullptr ? Json() : *column.summary;
  if (text(summary, "verdict")) return judged_cell(summary, *difference);
  // Results of an earlier version, or without a summary.
  const double factor = factor_of(table.measure());
  Cell cell{.value = with_sign(factor * *difference, 2) +
                     (is_relative(table.measure()) ? "" : " points")};
  if (const auto noise = number(summary, "noise")) {
    cell.note = "noise ± " + grouped(factor * *noise, 2);
  }
  if (summary.contains("within_noise") && summary["within_noise"].is_boolean()) {
    const bool within = flag(summary, "within_noise");
    cell.mark = within ? "within noise" : "outside noise";
    cell.mark_style = within ? "good" : "warn";
  }
  return cell;
}

// A mean over the runs, with a remark where some runs, such as a diverged one, have no value.
Cell mean_cell(const PrecisionResults& column, const char* key, std::string (*show)(double)) {
  const auto mean = mean_of(column, key);
  if (!mean) return {};
  Cell cell{.value = show(mean->value)};
  if (mean->count < column.runs.size()) {
    cell.note = std::to_string(mean->count) + " of " + seeds_phrase(column.runs.size());
  }
  return cell;
}

Cell train_loss_cell(const Table&, const PrecisionResults& column) {
  return mean_cell(column, "train_loss", loss);
}

Cell test_loss_cell(const Table&, const PrecisionResults& column) {
  return mean_cell(column, "test_loss", loss);
}

// Of a measure besides the first.
Cell other_cell(const amp::Measure& measure, const PrecisionResults& column) {
  const auto mean = mean_of(column, measure.key.c_str());
  if (!mean) return {};
  return {.value = shown(measure, mean->value)};
}

bool has_tokens(const Table& table) {
  return std::ranges::any_of(table.columns, [](const PrecisionResults& column) {
    return mean_of(column, "tokens_per_second").has_value();
  });
}

// Models of text are timed in tokens.
Cell speed_cell(const Table&, const PrecisionResults& column) {
  if (const auto tokens = mean_of(column, "tokens_per_second"))
    return {.value = grouped(tokens->value)};
  const auto speed = speed_of(column);
  if (!speed) return {};
  return {.value = grouped(*speed, *speed < 100 ? 1 : 0)};
}

// The ratio that the summary states, else value over the baseline's value.
Cell ratio_cell(const Table& table, const PrecisionResults& column, const char* key,
                std::optional<double> (*measure)(const PrecisionResults&)) {
  if (&column == table.baseline) return {.value = "baseline"};
  if (column.summary != nullptr) {
    if (const auto stated = number(*column.summary, key)) return {.value = ratio(*stated)};
  }
  if (table.baseline == nullptr) return {};
  const auto mine = measure(column);
  const auto theirs = measure(*table.baseline);
  if (!mine || !theirs || *theirs == 0) return {};
  return {.value = ratio(*mine / *theirs)};
}

Cell speed_ratio_cell(const Table& table, const PrecisionResults& column) {
  return ratio_cell(table, column, "speed_ratio", speed_of);
}

Cell peak_memory_cell(const Table&, const PrecisionResults& column) {
  return mean_cell(column, "peak_memory_bytes", megabytes);
}

Cell activations_cell(const Table&, const PrecisionResults& column) {
  const auto bytes = activation_bytes_of(column);
  if (!bytes) return {};
  return {.value = megabytes(*bytes)};
}

Cell activation_ratio_cell(const Table& table, const PrecisionResults& column) {
  return ratio_cell(table, column, "activation_ratio", activation_bytes_of);
}

Cell skipped_cell(const Table&, const PrecisionResults& column) {
  const auto skipped = mean_of(column, "skipped_steps");
  if (!skipped) return {};
  Cell cell{.value = grouped(skipped->value * static_cast<double>(skipped->count))};
  if (const auto steps = mean_of(column, "steps")) {
    cell.note = "of " + grouped(steps->value * static_cast<double>(steps->count));
  }
  return cell;
}

Cell final_scale_cell(const Table&, const PrecisionResults& column) {
  std::vector<double> scales;
  for (const Json* run : column.runs) {
    const auto scale = number(*run, "final_scale");
    if (scale && text(*run, "loss_scaling") != "none") scales.push_back(*scale);
  }
  if (scales.empty()) return {};
  const auto [low, high] = std::minmax_element(scales.begin(), scales.end());
  if (*low == *high) return {.value = loss_scale(*low)};
  return {.value = loss_scale(*low), .note = "to " + loss_scale(*high)};
}

std::string better(const amp::Measure& measure) {
  return std::string(measure.higher_is_better ? "higher" : "lower") + " is better";
}

std::vector<Row> quality_rows(const Table& table) {
  const auto& first = table.measure();
  std::vector<Row> rows = {
      {"Test " + first.name, "mean ± deviation over seeds; " + better(first), quality_cell},
      {"Difference to fp32", "and what these runs say of it", difference_cell, true}};
  for (const auto& other : std::span(table.measures).subspan(1)) {
    const bool is_of_bytes = other.key == amp::bits_per_byte_measure().key;
    rows.push_back(
        {with_capital(other.name), (is_of_bytes ? "of UTF-8; " : "") + better(other),
         [&](const Table&, const PrecisionResults& column) { return other_cell(other, column); }});
  }
  rows.push_back({"Final train loss", "lower is better", train_loss_cell});
  rows.push_back({"Test loss", "lower is better", test_loss_cell});
  return rows;
}

std::vector<Row> cost_rows(const Table& table) {
  return {{"Speed",
           has_tokens(table) ? "tokens per second; higher is better"
                             : "samples per second; higher is better",
           speed_cell},
          {"Speed against fp32", "above 1 is faster", speed_ratio_cell, true},
          {"Peak memory", "MB; 1 MB = 1,000,000 bytes", peak_memory_cell},
          {"Activations", "MB of numbers kept for backward", activations_cell},
          {"Activations against fp32", "below 1 is smaller", activation_ratio_cell, true}};
}

std::vector<Row> scaling_rows() {
  return {{"Skipped steps", "gradients overflowed; all seeds together", skipped_cell},
          {"Final loss scale", "what the loss was multiplied by", final_scale_cell}};
}

std::string render(const Cell& cell) {
  const bool quiet = cell.value == kDash || cell.value == "baseline";
  std::string html = quiet ? "<td class=\"quiet\">" : "<td>";
  html += "<span class=\"value\">" + escape_html(cell.value) + "</span>";
  if (!cell.mark.empty()) {
    html += " <span class=\"mark " + std::string(cell.mark_style) + "\">" + escape_html(cell.mark) +
            "</span>";
  }
  if (!cell.note.empty()) html += " <span class=\"note\">" + escape_html(cell.note) + "</span>";
  return html + "</td>";
}

std::string row_head(std::string_view name, std::string_view meaning) {
  return "<tr><th scope=\"row\">" + escape_html(name) + " <span class=\"note\">" +
         escape_html(meaning) + "</span></th>";
}

std::string render(const std::vector<Row>& rows, const Table& table) {
  std::string html = "<tbody>\n";
  for (const Row& row : rows) {
    if (row.compares && table.columns.size() == 1) continue;
    html += row_head(row.name, row.meaning);
    for (const PrecisionResults& column : table.columns) html += render(row.cell(table, column));
    html += "</tr>\n";
  }
  return html + "</tbody>\n";
}

std::string scaling_phrase(const PrecisionResults& column) {
  const auto scaling = text(*column.runs.front(), "loss_scaling");
  if (!scaling) return {};
  return *scaling == "none" ? "no loss scaling" : *scaling + " loss scaling";
}

std::string table_head(const Table& table) {
  std::string html = "<thead><tr><th scope=\"col\">Precision</th>";
  for (const PrecisionResults& column : table.columns) {
    const std::string name = escape_html(column.precision);
    html += "<th scope=\"col\" data-precision=\"" + name + "\"><span class=\"value\">" + name +
            "</span> <span class=\"note\">" + escape_html(scaling_phrase(column)) + "</span></th>";
  }
  return html + "</tr></thead>\n";
}

std::string status_row(const Table& table) {
  std::string html = "<tbody>\n" + row_head("Status", "how training ended");
  for (const PrecisionResults& column : table.columns) {
    html += "<td>" + status_marks(table.results, column) + "</td>";
  }
  return html + "</tr>\n</tbody>\n";
}

}  // namespace

std::string summary_table(const Json& results) {
  Table table{
      .results = results, .columns = group_by_precision(results), .measures = measures_of(results)};
  for (const PrecisionResults& column : table.columns) {
    if (column.precision == "fp32") table.baseline = &column;
  }
  return "<div class=\"scroll\"><table class=\"summary\">\n" + table_head(table) +
         status_row(table) + render(quality_rows(table), table) + render(cost_rows(table), table) +
         render(scaling_rows(), table) + "</table></div>\n";
}

}  // namespace ampersand::report
