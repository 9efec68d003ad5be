// The pages of doctor, advise and compare --inspect: the verdict, then what was seen in the training.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace ampersand {

struct InspectionPage {
  enum class Tone { plain, fine, wrong };

  std::string title, description;    // plain text
  Tone tone = Tone::plain;           // of the verdict
  std::vector<std::string> verdict;  // sentences of plain text, the one that says it all first
  // Before the drawings and after them: a heading in plain text, and HTML.
  std::vector<std::pair<std::string, std::string>> sections = {}, tail = {};
  nlohmann::json results;     // "version", "created" and "runs" as in results.json, for the charts
  nlohmann::json inspection;  // what inspection_json gives; null: no drawings
};

// One UTF-8 HTML document that needs no network. All plain text is escaped.
std::string render_inspection(const InspectionPage& page);

// HTML: a table with these heads, its cells plain text; the first column is text, the others numbers.
std::string table_html(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows);

// HTML: the ops that come closest to the limits of the format, of inspection_json's "ops".
std::string ops_table(const nlohmann::json& inspection);

}  // namespace ampersand
