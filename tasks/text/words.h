// The words of a text: what byte-pair merges stay within.
#pragma once

#include <cstddef>
#include <string_view>

namespace ampersand {

// The longest word, in bytes: texts without spaces (Chinese, base64) are cut there, so that a word
// is encoded in bounded time.
inline constexpr std::size_t kLongestWord = 64;

// The length of the first word of `text`, 1 to kLongestWord; 0 of an empty text. All words of a
// text, one after the other, are the text. A word is the longest of these at its place:
//   one space or none, then letters             " the", "low", "été"
//   an apostrophe, then letters                 "'s", "'ll"
//   one space or none, then one to three digits " 12", "345"
//   one space or none, then other signs         " --", ");", "…"
//   white space, without the space that begins the word after it   "\n\n ", "\t"
// Letters are A to Z, a to z and every character beyond ASCII outside of U+0080 to U+00BF,
// U+2000 to U+206F and U+3000 to U+303F (signs and punctuation). No word ends inside a character of
// UTF-8; bytes that are no UTF-8 count as letters.
std::size_t first_word(std::string_view text);

}  // namespace ampersand
