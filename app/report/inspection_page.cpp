// The pages of doctor, advise and compare --inspect.
#include "app/report/inspection_page.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>

#include "app/report/assets.h"
#include "app/report/fields.h"
#include "app/report/format.h"
#include "app/report/template.h"

namespace ampersand {
namespace {

using nlohmann::json;
using report::escape_html;

constexpr std::size_t kOpsShown = 12;

// "Nothing is wrong." of "nothing is wrong"; "fp16" and the like stay small.
std::string as_sentence(std::string text) {
  const bool is_word = text.size() > 1 && std::islower(static_cast<unsigned char>(text[0])) &&
                       text.find_first_of("0123456789") > text.find(' ');
  if (is_word) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  if (!text.empty() && !text.ends_with('.')) text += '.';
  return text;
}

std::string verdict_html(const InspectionPage& page) {
  static const char* const kClasses[] = {"verdict", "verdict fine", "verdict wrong"};
  std::string html = std::string("<section class=\"") + kClasses[static_cast<int>(page.tone)] +
                     "\">\n<h2>Verdict</h2>\n<ul>\n";
  for (const auto& sentence : page.verdict)
    html += "<li>" + escape_html(as_sentence(sentence)) + "</li>\n";
  return html + "</ul>\n</section>\n";
}

std::string sections_html(const std::vector<std::pair<std::string, std::string>>& sections) {
  std::string html;
  for (const auto& [heading, body] : sections)
    html += "<section>\n<h2>" + escape_html(heading) + "</h2>\n" + body + "</section>\n";
  return html;
}

std::string inspection_scripts() {
  std::string html;
  for (const auto script :
       {embedded::report_chart_js(), embedded::report_plot_js(), embedded::report_curves_js(),
        embedded::report_bars_js(), embedded::report_page_js(), embedded::report_inspection_js()})
    html.append("<script>\n").append(script).append("</script>\n");
  return html;
}

std::string short_number(const json& value) {
  if (!value.is_number()) return std::string(report::kDash);
  char text[32];
  const double number = value.get<double>();
  const bool is_whole = number == std::floor(number) && std::abs(number) < 1e9;
  std::snprintf(text, sizeof text, is_whole ? "%.0f" : "%.4g", number);
  return text;
}

// An op near the top loses most, or would with a little more.
double badness(const json& op) {
  if (op.contains("is_cause")) return 100;
  const double broken = op.value("broken", 0.0) > 0 ? 10 : 0;
  return broken + 5 * report::number(op, "overflow").value_or(0) +
         report::number(op, "underflow").value_or(0);
}

}  // namespace

std::string table_html(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows) {
  std::string html = "<div class=\"scroll\"><table>\n<thead><tr>";
  for (const auto& cell : head) html += "<th scope=\"col\">" + escape_html(cell) + "</th>";
  html += "</tr></thead>\n<tbody>\n";
  for (const auto& row : rows) {
    html += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i)
      html += (i == 0 ? "<th scope=\"row\">" : "<td>") + escape_html(row[i]) +
              (i == 0 ? "</th>" : "</td>");
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table></div>\n";
}

std::string ops_table(const json& inspection) {
  std::vector<json> ops(report::list(inspection, "ops").begin(),
                        report::list(inspection, "ops").end());
  std::ranges::stable_sort(ops,
                           [](const json& a, const json& b) { return badness(a) > badness(b); });
  if (ops.size() > kOpsShown) ops.resize(kOpsShown);
  const auto share = [](const json& op, const char* key) {
    const auto value = report::number(op, key);
    return value.has_value() ? report::percent(*value) : std::string(report::kDash);
  };
  std::vector<std::vector<std::string>> rows;
  for (const auto& op : ops) {
    const auto module = op.value("module", "");
    const auto name = (module.empty() ? "" : module + " ") + op.value("op", "");
    rows.push_back({name + (op.contains("is_cause") ? " (the cause)" : ""), op.value("pass", ""),
                    share(op, "overflow"), share(op, "underflow"),
                    short_number(op.value("broken", json())),
                    short_number(op.value("amax", json())), op.value("dtype", "")});
  }
  const auto format = inspection.value("format", "fp16");
  return table_html({"Op", "Pass", "Overflow in " + format, "Underflow in " + format, "Inf or NaN",
                     "Largest number", "Dtype"},
                    rows);
}

std::string render_inspection(const InspectionPage& page) {
  auto results = page.results;
  results["inspection"] = page.inspection;
  const auto dumped = results.dump(-1, ' ', false, json::error_handler_t::replace);
  const auto version = report::text(page.results, "version").value_or("");
  const auto created = report::text(page.results, "created").value_or("");
  return report::fill(
      embedded::report_inspection_html(),
      {{"title", escape_html(page.title)},
       {"description", escape_html(page.description)},
       {"origin", escape_html("Ampersand " + version +
                              (created.empty() ? "" : ", " + report::readable_time(created)))},
       {"verdict", verdict_html(page)},
       {"sections", sections_html(page.sections)},
       {"tail", sections_html(page.tail)},
       {"results", report::json_for_script(dumped)},
       {"style",
        std::string(embedded::report_page_css()) + std::string(embedded::report_inspection_css())},
       {"scripts", inspection_scripts()}});
}

}  // namespace ampersand
