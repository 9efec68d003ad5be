// The table that ends `train` and `compare`.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace ampersand {

// One row a precision, columns aligned, with a trailing newline. results: as in results.json.
std::string results_table(const nlohmann::json& results);

}  // namespace ampersand
