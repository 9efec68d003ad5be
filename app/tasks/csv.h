// Text as a field of a CSV file.
#pragma once

#include <string>

namespace ampersand {

// In quotes, with those inside doubled. Source: RFC 4180, section 2.
inline std::string csv_field(const std::string& text) {
  std::string field = "\"";
  for (const char c : text) field += c == '"' ? std::string("\"\"") : std::string(1, c);
  return field + '"';
}

}  // namespace ampersand
