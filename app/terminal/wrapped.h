// Lines of text in the width of a terminal.
#pragma once

#include <cstddef>
#include <string>

namespace ampersand {

// Characters of UTF-8, each of which is taken to be one column wide.
std::size_t characters(const std::string& text);

// Breaks the lines of `text` between words, so that none has more than `width` characters where its
// words allow it; lines after a break begin with `indent` spaces. 0: as it is.
std::string wrapped(const std::string& text, std::size_t width, std::size_t indent = 0);

// How many columns standard output has: COLUMNS, or the terminal's; 0 where it is neither told nor a
// terminal.
std::size_t output_width();

}  // namespace ampersand
