// The table that ends `train` and `compare`.
#include "app/terminal/table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "app/data/utf8.h"
#include "app/terminal/formatted.h"

namespace ampersand {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

// A number of `object`, or a dash.
std::string cell(const json& object, const char* name, const char* format, double factor = 1) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return "-";
  return formatted(format, factor * found->get<double>());
}

// The mean over the runs of one precision, or a dash.
std::string mean_cell(const std::vector<const json*>& runs, const char* name, const char* format,
                      double factor = 1) {
  double sum = 0;
  int count = 0;
  for (const auto* run : runs) {
    const auto found = run->find(name);
    if (found == run->end() || !found->is_number()) continue;
    sum += found->get<double>();
    ++count;
  }
  return count == 0 ? "-" : formatted(format, factor * sum / count);
}

bool is_perplexity(const json& entry) { return entry.value("metric", "") == "perplexity"; }

std::string quality_cell(const json& entry) {
  if (!entry.contains("mean")) return "-";
  const double factor = is_perplexity(entry) ? 1 : 100;
  auto text =
      formatted(is_perplexity(entry) ? "%.3f" : "%.2f %%", factor * entry["mean"].get<double>());
  if (entry["deviation"].is_number())
    text += formatted(is_perplexity(entry) ? " +- %.3f" : " +- %.2f",
                      factor * entry["deviation"].get<double>());
  return text;
}

std::string difference_cell(const json& entry) {
  if (!entry.contains("difference")) return "";
  const auto difference = entry["difference"].get<double>();
  const auto text = formatted(is_perplexity(entry) ? "%+.2f %%" : "%+.2f points", 100 * difference);
  const auto finding = entry.value("verdict", "unknown");
  return text + ", " + (finding == "unknown" ? "cannot tell" : finding);
}

// Bits per byte, of models of text.
std::string bits_cell(const json& entry) {
  return is_perplexity(entry) ? cell(entry, "bits_per_byte", "%.4f") : "";
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

Row row_of(const json& entry, const json& all_runs) {
  std::vector<const json*> runs;
  for (const auto& run : all_runs) {
    if (run["precision"] == entry["precision"]) runs.push_back(&run);
  }
  return {
      entry["precision"],
      quality_cell(entry),
      difference_cell(entry),
      bits_cell(entry),
      mean_cell(runs, "train_loss", "%.4f"),
      mean_cell(runs, is_perplexity(entry) ? "tokens_per_second" : "samples_per_second", "%.0f"),
      cell(entry, "speed_ratio", "%.2f"),
      mean_cell(runs, "activation_bytes", "%.1f", 1e-6),
      cell(entry, "activation_ratio", "%.2f"),
      mean_cell(runs, "peak_memory_bytes", "%.1f", 1e-6),
      mean_cell(runs, "skipped_steps", "%.3g"),
      mean_cell(runs, "final_scale", "%.6g"),
      ending_cell(runs)};
}

// Characters of UTF-8, each of which is taken to be one column wide.
std::size_t characters(const std::string& text) {
  return text.size() - static_cast<std::size_t>(std::ranges::count_if(text, continues_character));
}

// Where the character begins that has `count` before it; the end where there are no more.
std::size_t byte_of(const std::string& text, std::size_t count) {
  std::size_t i = 0;
  for (; i < text.size(); ++i) {
    if (continues_character(text[i])) continue;
    if (count-- == 0) break;
  }
  return i;
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
  const auto& summary = results.at("summary");
  const bool text_model = !summary.empty() && is_perplexity(summary.front());
  std::vector<Row> rows = {{"precision", text_model ? "perplexity" : "test accuracy",
                            "against fp32", text_model ? "bits/byte" : "", "loss",
                            text_model ? "tokens/s" : "samples/s", "x fp32", "act. MB", "x fp32",
                            "peak MB", "skipped", "scale", "ending"}};
  for (const auto& entry : summary) rows.push_back(row_of(entry, results.at("runs")));
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

std::string wrapped(const std::string& text, std::size_t width, std::size_t indent) {
  if (width == 0) return text;
  std::string result;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    while (characters(line) > width) {
      const auto room = byte_of(line, width + 1);
      auto end = line.rfind(' ', room - 1);
      const auto first = line.find_first_not_of(' ');
      if (end == line.npos || end <= first) end = line.find(' ', std::max(first, room - 1));
      if (end == line.npos) break;
      result += line.substr(0, line.find_last_not_of(' ', end) + 1) + "\n";
      const auto next = line.find_first_not_of(' ', end);
      line = next == line.npos ? "" : std::string(indent, ' ') + line.substr(next);
    }
    result += line + "\n";
  }
  if (!text.ends_with('\n') && !result.empty()) result.pop_back();
  return result;
}

std::size_t output_width() {
  if (const char* columns = std::getenv("COLUMNS"); columns != nullptr) {
    if (const auto given = std::strtoul(columns, nullptr, 10); given > 0) return given;
  }
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace ampersand
