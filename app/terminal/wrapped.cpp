// Lines of text in the width of a terminal.
#include "app/terminal/wrapped.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "app/files/utf8.h"

namespace ampersand {
namespace {

// Where the character begins that has `count` before it; the end where there are no more.
std::size_t byte_of(const std::string& text, std::size_t count) {
  std::size_t i = 0;
  for (; i < text.size(); ++i) {
    if (continues_character(text[i])) continue;
    if (count-- == 0) break;
  }
  return i;
}

}  // namespace

std::size_t characters(const std::string& text) {
  return text.size() - static_cast<std::size_t>(std::ranges::count_if(text, continues_character));
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
