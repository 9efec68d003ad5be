// What an opt_level and its overrides mean.
#pragma once

#include <string>

#include "amp/apex.h"
#include "amp/recipe.h"

namespace amp::apex {

// Throws InvalidArgument for an unknown level, an override that the level cannot take, and values
// that Recipe::validate refuses.
Recipe recipe_of(const std::string& opt_level, const ApexOptions& options);

}  // namespace amp::apex
