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

}  // namespace ampersand
