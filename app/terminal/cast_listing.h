// The listing of `train --explain`.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace ampersand {

// One line an op that the model called: how often, what was cast for it, and by which rule. casts:
// the event "casts" of metrics.jsonl.
std::string cast_listing(const nlohmann::json& casts);

}  // namespace ampersand
