// A number in printf's words, as tables and sentences write it.
#pragma once

#include <cstdio>
#include <string>

namespace ampersand {

inline std::string formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace ampersand
