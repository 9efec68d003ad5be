// The words of a text: what byte-pair merges stay within.
#include "tasks/text/words.h"

#include <cstdint>

#include "app/files/utf8.h"

namespace ampersand {
namespace {

enum class Class { letter, digit, space, sign };

constexpr std::size_t kMostDigits = 3;  // numbers share their parts, and a vocabulary holds few

struct Character {
  Class kind;
  std::size_t length;
};

Class class_of_ascii(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return Class::letter;
  if (c >= '0' && c <= '9') return Class::digit;
  if (c == ' ' || (c >= '\t' && c <= '\r')) return Class::space;
  return Class::sign;
}

// The character that begins `text`, which is not empty.
Character first_character(std::string_view text) {
  const auto first = static_cast<std::uint8_t>(text[0]);
  if (first < 0x80) return {class_of_ascii(text[0]), 1};
  const std::size_t promised = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
  std::size_t length = 1;
  while (length < promised && length < text.size() && continues_character(text[length])) ++length;
  if (length < promised) return {Class::letter, 1};
  const auto second = static_cast<std::uint8_t>(length > 1 ? text[1] : 0);
  const bool sign = first == 0xc2 || (first == 0xe2 && second <= 0x81) ||  // U+0080, U+2000 and
                    (first == 0xe3 && second == 0x80);                     // U+3000 onwards
  return {sign ? Class::sign : Class::letter, length};
}

// Where the run of characters of one kind ends that goes on at `begin`; `most` is the last place.
std::size_t end_of_run(std::string_view text, std::size_t begin, Class kind, std::size_t most) {
  std::size_t end = begin;
  while (end < text.size()) {
    const Character next = first_character(text.substr(end));
    if (next.kind != kind || end + next.length > most) break;
    end += next.length;
  }
  return end;
}

std::size_t white_space(std::string_view text) {
  const std::size_t end = end_of_run(text, 0, Class::space, kLongestWord);
  const bool begins_a_word = text[end - 1] == ' ' && end < text.size() &&
                             first_character(text.substr(end)).kind != Class::space;
  return begins_a_word ? end - 1 : end;
}

}  // namespace

std::size_t first_word(std::string_view text) {
  if (text.empty()) return 0;
  Character first = first_character(text);
  std::size_t begin = 0;
  if (first.kind == Class::space) {
    if (text[0] != ' ' || text.size() == 1) return white_space(text);
    first = first_character(text.substr(1));
    if (first.kind == Class::space) return white_space(text);
    begin = 1;
  } else if (text[0] == '\'' && text.size() > 1 &&
             first_character(text.substr(1)).kind == Class::letter) {
    return end_of_run(text, 1, Class::letter, kLongestWord);
  }
  const std::size_t most = first.kind == Class::digit ? begin + kMostDigits : kLongestWord;
  return end_of_run(text, begin, first.kind, most);
}

}  // namespace ampersand
