// A low-precision training op by op beside fp32: which op departs first, and by how much.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "app/inspection/watch.h"

namespace ampersand {

// Of a watch with beside_fp32: {"format", "sentences", "first_departure": {"step", "op", ...} or null,
// "layers": [{"module", "pass", ...}], "ops": [{"op", "module", "pass", "calls", "dtype", ...}],
// "parameters": [{"name", ...}]}, each with the fields of a deviation: "relative_error", "cosine",
// "max_ulps", "compared", "beyond_ulp", "lost", and "departs" or, of a parameter,
// "negligible": fp32's gradient is less than a thousandth of all parameters' (root mean squares), and may
// be rounding alone. Ops and layers in the order of their first calls, parameters in the model's.
nlohmann::json beside_fp32_json(const Watch& watch);

}  // namespace ampersand
