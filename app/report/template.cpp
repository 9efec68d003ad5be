// Putting the parts of a page into its frame.
#include "app/report/template.h"

#include <cstddef>

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

// Replaces each {{name}} in one pass, so that what is put in is never searched again.
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
  return filled;
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
