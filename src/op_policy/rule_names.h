// Cast rules by name.
#pragma once

#include <string>

#include "amp/op_policy.h"

namespace amp::op_policy {

const char* rule_name(CastRule rule);
// Throws InvalidArgument, with the nearest name, for one that no rule has.
CastRule rule_of(const std::string& name);

}  // namespace amp::op_policy
