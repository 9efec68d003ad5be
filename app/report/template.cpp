// Putting the parts of a page into its frame.
#include "app/report/template.h"

#include <algorithm>
#include <cstddef>

#include "app/files/utf8.h"

namespace ampersand::report {

// Without '<' neither "</script" nor "<!--" can occur,
// and the escape means the same to a JSON parser, since '<' occurs in strings only.
std::string json_for_script(std::string_view json) {
  std::string escaped;
  escaped.reserve(json.size());
  for (const char character : json) {
    if (character == '<') {
      escaped += "\\u003c";
    } else {
      escaped += character;
    }
  }
  return escaped;
}

namespace {

// Line by line, for a name with other bytes is of one line.
std::string in_utf8(const std::string& page) {
  if (!find_invalid_utf8(page)) return page;
  std::string text;
  for (std::size_t begin = 0; begin < page.size();) {
    const auto end = std::min(page.find('\n', begin), page.size());
    text += readable_line(std::string_view(page).substr(begin, end - begin));
    if (end < page.size()) text += '\n';
    begin = end + 1;
  }
  return text;
}

}  // namespace

// In UTF-8, whatever names it has. Replaces each {{name}} in one pass, so that what is put in is never searched again.
std::string fill(std::string_view page, const Parts& parts) {
  std::string filled;
  std::size_t position = 0;
  while (true) {
    const std::size_t open = page.find("{{", position);
    const std::size_t close = page.find("}}", open);
    if (open == std::string_view::npos || close == std::string_view::npos) break;
    filled += page.substr(position, open - position);
    filled += parts.at(std::string(page.substr(open + 2, close - open - 2)));
    position = close + 2;
  }
  filled += page.substr(position);
  return in_utf8(filled);
}

// "2026-11-23T07:00:00Z" as "2026-11-23 07:00 UTC"; anything else as it is.
std::string readable_time(const std::string& time) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00Z";
  bool fits = time.size() == kForm.size();
  for (std::size_t i = 0; fits && i < kForm.size(); ++i) {
    fits = kForm[i] == '0' ? time[i] >= '0' && time[i] <= '9' : time[i] == kForm[i];
  }
  return fits ? time.substr(0, 10) + " " + time.substr(11, 5) + " UTC" : time;
}

}  // namespace ampersand::report
