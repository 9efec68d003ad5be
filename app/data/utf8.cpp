// Is it UTF-8?
#include "app/data/utf8.h"

#include <cstdint>
#include <cstring>
#include <string>

#include "amp/error.h"

namespace ampersand {
namespace {

// What may follow a first byte: how many bytes, and the range of the first of them.
struct Form {
  int following;  // -1: begins no character
  std::uint8_t low, high;
};

Form form_of(std::uint8_t first) {
  if (first < 0x80) return {0, 0, 0};
  if (first < 0xc2) return {-1, 0, 0};  // a continuation, or an overlong form of ASCII
  if (first < 0xe0) return {1, 0x80, 0xbf};
  if (first == 0xe0) return {2, 0xa0, 0xbf};  // below: overlong
  if (first == 0xed) return {2, 0x80, 0x9f};  // above: surrogates
  if (first < 0xf0) return {2, 0x80, 0xbf};
  if (first == 0xf0) return {3, 0x90, 0xbf};  // below: overlong
  if (first < 0xf4) return {3, 0x80, 0xbf};
  if (first == 0xf4) return {3, 0x80, 0x8f};  // above: more than U+10FFFF
  return {-1, 0, 0};
}

bool is_ascii(const char* eight_bytes) {
  std::uint64_t word;
  std::memcpy(&word, eight_bytes, sizeof word);
  return (word & 0x8080808080808080) == 0;
}

}  // namespace

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    if (text.size() - i >= 8 && is_ascii(text.data() + i)) {  // most of most texts
      i += 8;
      continue;
    }
    const Form form = form_of(static_cast<std::uint8_t>(text[i]));
    if (form.following < 0) return i;
    const auto following = static_cast<std::size_t>(form.following);
    if (text.size() - i <= following) return i;
    for (std::size_t k = 1; k <= following; ++k) {
      const auto byte = static_cast<std::uint8_t>(text[i + k]);
      if (byte < (k == 1 ? form.low : 0x80) || byte > (k == 1 ? form.high : 0xbf)) return i;
    }
    i += following + 1;
  }
  return std::nullopt;
}

void check_utf8(std::string_view text, const std::filesystem::path& path) {
  const auto invalid = find_invalid_utf8(text);
  if (!invalid) return;
  constexpr std::string_view digits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(text[*invalid]);
  throw amp::IoError(path, "text must be UTF-8, got the byte 0x" + std::string{digits[byte >> 4]} +
                               digits[byte & 0xf] + " at byte " + std::to_string(*invalid) +
                               ", where no character begins or one is cut short; convert the file "
                               "(iconv -t UTF-8), or remove it");
}

}  // namespace ampersand
