// Texts that the tests of text data share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/temporary_folder.h"

namespace ampersand::tests {

inline Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

// UTF-8 that readers of text stumble over.
inline std::vector<std::string> hard_texts() {
  using namespace std::string_literals;
  return {""s,
          " "s,
          "a"s,
          "\xF0\x9F\x98\x80\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7 emoji, joined"s,
          "e\xCC\x81 combining, \xC3\xA9 composed"s,
          "CRLF\r\nand CR\rand LF\n\n\nno newline at the end"s,
          "NUL \0 inside\0\0 and doubled"s,
          "\xEF\xBB\xBF byte order mark"s,
          "  leading,   several and trailing spaces   "s,
          "\t\v\f tabs\t \t"s,
          "\xE3\x80\x8C\xE5\x90\xBE\xE8\xBC\xA9\xE3\x81\xAF\xE7\x8C\xAB\xE3\x80\x8D\xE3\x80\x80"s,
          "it's 'quoted' 'tis' ''' 1'2 don''t"s,
          "12345678,90.1 1e-9 x2y"s,
          "\xE2\x96\x81 the sign that SentencePiece takes for a space"s,
          std::string(1000, 'a'),
          std::string(1000, ' '),
          std::string(1000, '\n').append("x"),
          std::string(63, 'a').append("\xF0\x9F\x98\x80\xF0\x9F\x98\x80")};
}

// Bytes that are no UTF-8, and all 256 of them.
inline std::vector<std::string> wild_bytes() {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  return {"\x80", "\xC3", "\xE2\x80", "\xF0\x9F\x98", "a\xFF\xFE b", all, all + all};
}

}  // namespace ampersand::tests
