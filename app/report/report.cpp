// The report: checks the results and puts the parts of the page together.
#include "app/report/report.h"

#include <cstddef>
#include <string_view>

#include "amp/error.h"
#include "app/report/assets.h"
#include "app/report/details.h"
#include "app/report/fields.h"
#include "app/report/format.h"
#include "app/report/overview.h"
#include "app/report/precision_results.h"
#include "app/report/summary_table.h"
#include "app/report/template.h"
#include "app/results/measures.h"

namespace ampersand {
namespace {

using report::Json;
using report::Parts;

[[noreturn]] void refuse(const std::string& rule, const std::string& got) {
  throw amp::InvalidArgument("render_report: " + rule + ", got " + got +
                             "; pass the contents of a results.json");
}

void check(const Json& results) {
  if (!results.is_object()) refuse("results must be an object", results.type_name());
  const auto runs = results.find("runs");
  if (runs == results.end()) refuse("results must have a list \"runs\"", "none");
  if (!runs->is_array()) refuse("\"runs\" must be a list", runs->type_name());
  if (runs->empty()) refuse("\"runs\" must hold at least one run", "an empty list");
  for (std::size_t i = 0; i < runs->size(); ++i) {
    const Json& run = (*runs)[i];
    const std::string name = "\"runs\"[" + std::to_string(i) + "]";
    if (!run.is_object()) refuse(name + " must be an object", run.type_name());
    if (report::text(run, "precision").value_or("").empty()) {
      const auto precision = run.find("precision");
      refuse(name + " must have a name as its \"precision\"",
             precision == run.end()
                 ? "none"
                 : precision->dump(-1, ' ', false, Json::error_handler_t::replace));
    }
  }
}

// The scripts, each in an element of its own; a later one uses what an earlier one defines.
std::string scripts() {
  std::string html;
  for (const std::string_view script :
       {embedded::report_chart_js(), embedded::report_plot_js(), embedded::report_curves_js(),
        embedded::report_bars_js(), embedded::report_page_js()}) {
    html.append("<script>\n").append(script).append("</script>\n");
  }
  return html;
}

std::string origin(const Json& results) {
  const auto version = report::text(results, "version");
  const auto created = report::text(results, "created");
  return "Ampersand" + (version ? " " + *version : "") +
         (created ? ", " + report::readable_time(*created) : "");
}

}  // namespace

std::string render_report(const nlohmann::json& results) {
  check(results);
  // Writing and reading it once replaces invalid UTF-8, and turns what JSON cannot hold (inf, nan)
  // into null.
  const std::string dumped = results.dump(-1, ' ', false, Json::error_handler_t::replace);
  const Json clean = Json::parse(dumped);
  const auto measure = first_measure(clean);
  const Parts parts = {
      {"title", report::escape_html(report::title(clean))},
      {"description", report::escape_html(report::description(clean))},
      {"origin", report::escape_html(origin(clean))},
      {"verdict", report::verdict(clean)},
      {"summary", report::summary_table(clean)},
      {"inside", report::inside(clean)},
      {"quality", report::escape_html("Test " + measure.name)},
      {"measure", report::escape_html(to_json(measure).dump())},
      {"better", measure.higher_is_better ? "Higher" : "Lower"},
      {"details", report::details(clean)},
      {"results", report::json_for_script(dumped)},
      {"style", std::string(embedded::report_page_css())},
      {"scripts", scripts()},
  };
  return report::fill(embedded::report_page_html(), parts);
}

}  // namespace ampersand
