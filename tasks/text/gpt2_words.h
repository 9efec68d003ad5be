// The words of a text as GPT-2 cuts it.
#pragma once

#include <cstddef>
#include <string_view>

namespace ampersand {

// The longest word, in bytes: what has no end (base64, Chinese without punctuation) is cut there, so
// that a word is encoded in bounded memory.
inline constexpr std::size_t kLongestGpt2Word = 1 << 20;

// The length of the first word of `text`, 1 to kLongestGpt2Word; 0 of an empty text. All words of a
// text, one after the other, are the text. They are what this expression finds:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// with Unicode's letters, numbers and white space (tasks/text/unicode_ranges.h). A byte that is of no
// character counts as a sign of its own.
//
// Source: Radford et al. 2019 (GPT-2), encoder.py of the published code.
std::size_t first_gpt2_word(std::string_view text);

}  // namespace ampersand
