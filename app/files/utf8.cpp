// Is it UTF-8, and what is written where it is not.
#include "app/files/utf8.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>

#include "amp/error.h"
#include "app/files/files.h"

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

// \xHH
std::string escape_of(char byte) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto value = static_cast<unsigned char>(byte);
  return std::string("\\x") + digits[value >> 4] + digits[value & 0xf];
}

// The name of a wider encoding that begins so; nothing for others. Without a mark, Latin letters tell
// by where their zero bytes are: in UTF-8 text there are hardly any.
const char* wide_encoding(std::string_view text) {
  using std::string_view_literals::operator""sv;
  if (text.starts_with("\xff\xfe\0\0"sv)) return "UTF-32LE";
  if (text.starts_with("\0\0\xfe\xff"sv)) return "UTF-32BE";
  if (text.starts_with("\xff\xfe"sv)) return "UTF-16LE";
  if (text.starts_with("\xfe\xff"sv)) return "UTF-16BE";
  text = text.substr(0, 4096);
  if (text.size() < 8 || text.size() % 2 != 0) return nullptr;
  std::array<std::size_t, 4> zeros{};
  for (std::size_t i = 0; i < text.size(); ++i) zeros[i % 4] += text[i] == '\0' ? 1U : 0U;
  const auto most = [&](std::size_t place) { return 10 * zeros[place] >= text.size() / 4 * 9; };
  if (text.size() % 4 == 0 && most(2) && most(3) && !most(0)) return "UTF-32LE";
  if (text.size() % 4 == 0 && most(0) && most(1) && !most(3)) return "UTF-32BE";
  if (most(1) && most(3) && !most(0) && !most(2)) return "UTF-16LE";
  if (most(0) && most(2) && !most(1) && !most(3)) return "UTF-16BE";
  return nullptr;
}

constexpr std::size_t kCheckedBytes = 1 << 20;

// Of the block that begins `text`: no character is cut, where there are any.
std::size_t block_size(std::string_view text) {
  if (text.size() <= kCheckedBytes) return text.size();
  std::size_t size = kCheckedBytes;
  while (size + 4 > kCheckedBytes && continues_character(text[size])) --size;
  return size;
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

std::string valid_utf8(std::string_view text) {
  std::string valid;
  while (const auto invalid = find_invalid_utf8(text)) {
    valid.append(text.substr(0, *invalid)).append("\xef\xbf\xbd");
    text.remove_prefix(*invalid + 1);
  }
  return valid.append(text);
}

std::string readable_line(std::string_view message) {
  std::string line;
  while (const auto invalid = find_invalid_utf8(message)) {
    line.append(message.substr(0, *invalid)).append(escape_of(message[*invalid]));
    message.remove_prefix(*invalid + 1);
  }
  line.append(message);
  std::ranges::replace(line, '\n', ' ');
  return line;
}

std::string escaped_name(std::string_view name) {
  std::string escaped;
  while (!name.empty()) {
    const auto invalid = find_invalid_utf8(name).value_or(name.size());
    for (std::size_t i = 0; i < invalid; ++i) {
      const bool looks_escaped = name[i] == '\\' && i + 1 < name.size() && name[i + 1] == 'x';
      escaped += looks_escaped ? escape_of(name[i]) : std::string(1, name[i]);
    }
    if (invalid < name.size()) escaped += escape_of(name[invalid]);
    name.remove_prefix(std::min(invalid + 1, name.size()));
  }
  return escaped;
}

std::string unescaped_name(std::string_view text) {
  std::string name;
  while (!text.empty()) {
    unsigned value = 0;
    const bool is_escape =
        text.size() >= 4 && text.starts_with("\\x") &&
        std::from_chars(text.data() + 2, text.data() + 4, value, 16).ptr == text.data() + 4;
    name += is_escape ? static_cast<char>(value) : text[0];
    text.remove_prefix(is_escape ? 4 : 1);
  }
  return name;
}

void check_utf8(std::string_view text, const std::filesystem::path& path,
                const std::function<void(std::string_view)>& visit) {
  if (is_pointer(text))
    throw amp::IoError(
        path,
        "is a Git LFS pointer that stands for the file; get the file itself with `git lfs pull`");
  if (const auto* encoding = wide_encoding(text)) {
    const std::string name = encoding;
    throw amp::IoError(path, "text must be UTF-8, got " + name + "; convert the file (iconv -f " +
                                 name + " -t UTF-8)");
  }
  // A mark is no text: it moves no block.
  for (std::size_t begin = text.size() - without_mark(text).size(); begin < text.size();) {
    const auto block = text.substr(begin, block_size(text.substr(begin)));
    if (const auto invalid = find_invalid_utf8(block)) {
      throw amp::IoError(
          path, "text must be UTF-8, got the byte 0x" + escape_of(block[*invalid]).substr(2) +
                    " at byte " + std::to_string(begin + *invalid) +
                    ", where no character begins or one is cut short; convert the file "
                    "(iconv -t UTF-8), or remove it");
    }
    if (visit) visit(block);
    begin += block.size();
  }
}

}  // namespace ampersand
