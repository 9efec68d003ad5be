// The table that ends `train` and `compare`.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace ampersand {

// One row a precision, columns aligned, with a trailing newline. results: as in results.json. Where it
// is wider than `width` columns, the later columns come below in tables of their own, each with the
// precisions again; 0: no limit.
std::string results_table(const nlohmann::json& results, std::size_t width = 0);

// Breaks the lines of `text` between words, so that none has more than `width` characters where its
// words allow it; lines after a break begin with `indent` spaces. 0: as it is.
std::string wrapped(const std::string& text, std::size_t width, std::size_t indent = 0);

// How many columns standard output has: COLUMNS, or the terminal's; 0 where it is neither told nor a
// terminal.
std::size_t output_width();

}  // namespace ampersand
