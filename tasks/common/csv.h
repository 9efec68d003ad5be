// Text as a field of a CSV file.
#pragma once

#include <string>

#include "app/files/utf8.h"

namespace ampersand {

// UTF-8 in quotes, with those inside doubled. Source: RFC 4180, section 2.
inline std::string csv_field(const std::string& text) {
  std::string field = "\"";
  for (const char c : valid_utf8(text)) field += c == '"' ? std::string("\"\"") : std::string(1, c);
  return field + '"';
}

}  // namespace ampersand
