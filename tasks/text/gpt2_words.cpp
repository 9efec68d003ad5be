// The words of a text as GPT-2 cuts it: its regular expression, by hand.
#include "tasks/text/gpt2_words.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "app/files/utf8.h"
#include "tasks/text/unicode_ranges.h"

namespace ampersand {
namespace {

enum class Gpt2Class : std::uint8_t { sign, letter, number, space };

struct Gpt2Character {
  Gpt2Class kind = Gpt2Class::sign;
  std::size_t length = 0;
};

constexpr std::size_t kTable = 1 << 16;  // looked up at once; the few beyond are searched for

// Unicode's White_Space.
bool is_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 ||
         code == 0x202f || code == 0x205f || code == 0x3000;
}

bool is_in(std::span<const CodeRange> ranges, char32_t code) {
  const auto after = std::ranges::upper_bound(ranges, code, {}, &CodeRange::first);
  return after != ranges.begin() && code <= std::prev(after)->last;
}

Gpt2Class searched_class(char32_t code) {
  if (is_space(code)) return Gpt2Class::space;
  if (is_in(letter_ranges(), code)) return Gpt2Class::letter;
  return is_in(number_ranges(), code) ? Gpt2Class::number : Gpt2Class::sign;
}

std::array<Gpt2Class, kTable> make_table() {
  std::array<Gpt2Class, kTable> table{};
  for (std::size_t code = 0; code < kTable; ++code)
    table[code] = searched_class(static_cast<char32_t>(code));
  return table;
}

Gpt2Class class_of(char32_t code) {
  static const auto table = make_table();
  return code < kTable ? table[code] : searched_class(code);
}

// The character that begins `text`, which is not empty.
Gpt2Character first_gpt2_character(std::string_view text) {
  const auto first = static_cast<std::uint8_t>(text[0]);
  if (first < 0x80) return {class_of(first), 1};
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
  if (length == 1 || length > text.size()) return {Gpt2Class::sign, 1};
  char32_t code = first & (0xff >> (length + 1));
  for (std::size_t k = 1; k < length; ++k) {
    if (!continues_character(text[k])) return {Gpt2Class::sign, 1};
    code = code << 6 | (static_cast<std::uint8_t>(text[k]) & 0x3f);
  }
  return {class_of(code), length};
}

// Where the run of characters of one kind ends that goes on at `begin`, and where its last begins.
struct Run {
  std::size_t last = 0, end = 0;
};

Run gpt2_run_of(std::string_view text, std::size_t begin, Gpt2Class kind) {
  Run run{begin, begin};
  while (run.end < text.size()) {
    const auto next = first_gpt2_character(text.substr(run.end));
    if (next.kind != kind || run.end + next.length > kLongestGpt2Word) break;
    run = {run.end, run.end + next.length};
  }
  return run;
}

std::size_t contraction(std::string_view text) {
  for (const std::string_view end : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.starts_with(end)) return end.size();
  return 0;
}

// All of the white space at the end of a text; before something else, all but the last of it.
std::size_t gpt2_white_space(std::string_view text) {
  const auto run = gpt2_run_of(text, 0, Gpt2Class::space);
  return run.end < text.size() && run.last > 0 ? run.last : run.end;
}

}  // namespace

std::size_t first_gpt2_word(std::string_view text) {
  if (text.empty()) return 0;
  if (const auto length = contraction(text)) return length;
  const std::size_t begin = text[0] == ' ' && text.size() > 1 ? 1 : 0;
  const auto kind = first_gpt2_character(text.substr(begin)).kind;
  return kind == Gpt2Class::space ? gpt2_white_space(text) : gpt2_run_of(text, begin, kind).end;
}

}  // namespace ampersand
