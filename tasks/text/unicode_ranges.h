// Which characters are letters and which are numbers.
#pragma once

#include <span>

namespace ampersand {

// Code points `first` to `last`.
struct CodeRange {
  char32_t first = 0, last = 0;
};

// Of the general categories L and N, in order and without overlap. Source: The Unicode Standard
// 16.0.0, UnicodeData.txt, by way of tools/make-unicode-classes.
std::span<const CodeRange> letter_ranges();
std::span<const CodeRange> number_ranges();

}  // namespace ampersand
