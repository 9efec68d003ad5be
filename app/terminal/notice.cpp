// A line to the user that is no error.
#include "app/terminal/notice.h"

#include <cstdio>
#include <set>

#include "app/files/utf8.h"

namespace ampersand {

void notice(const std::string& line) {
  static std::set<std::string> told;
  if (told.insert(line).second)
    std::fprintf(stderr, "ampersand: %s\n", readable_line(line).c_str());
}

}  // namespace ampersand
