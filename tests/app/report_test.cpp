// The report: what its table says, that no text can break out of it, that it loads nothing, what it refuses.
#include "app/report/report.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amp/error.h"

namespace ampersand {
namespace {

using nlohmann::json;

json sample() {
  std::ifstream file(AMP_TEST_DATA_DIR "/sample_results.json");
  return json::parse(file);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) {
    ++found;
  }
  return found;
}

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const auto from = text.find(begin);
  if (from == std::string::npos) return {};
  return text.substr(from, text.find(end, from) - from);
}

// The text of each cell of the summary table's row `name`, tags removed, parts separated by '|'.
std::vector<std::string> row(const std::string& page, const std::string& name) {
  std::string html = between(page, "<th scope=\"row\">" + name + " <span", "</tr>");
  std::vector<std::string> cells;
  for (auto at = html.find("<td"); at != std::string::npos; at = html.find("<td", at + 1)) {
    std::string cell;
    const std::string source = html.substr(at, html.find("</td>", at) - at);
    bool tag = false;
    for (const char character : source) {
      if (character == '<') tag = true;
      if (!tag && character != ' ') cell += character;
      if (!tag && character == ' ' && !cell.empty() && cell.back() != '|') cell += ' ';
      if (character == '>') tag = false;
      if (character == '<' && !cell.empty() && cell.back() != '|') cell += '|';
    }
    while (!cell.empty() && (cell.back() == '|' || cell.back() == ' ')) cell.pop_back();
    cells.push_back(cell);
  }
  return cells;
}

using Row = std::vector<std::string>;

TEST(Report, TableHasEveryPrecision) {
  const std::string page = render_report(sample());
  const std::string head = between(page, "<table class=\"summary\">", "</thead>");
  for (const std::string precision : {"fp32", "bf16", "fp16", "fp16-unscaled"}) {
    EXPECT_EQ(count(head, "data-precision=\"" + precision + "\""), 1U) << precision;
  }
  EXPECT_NE(head.find("dynamic loss scaling"), std::string::npos);
}
