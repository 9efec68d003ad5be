// A recipe whose policy knows a model.
#pragma once

#include <utility>

#include "amp/recipe.h"

namespace amp {

// The recipe, with its policy bound to the model where that has rules that need one and is not bound to it
// already. Throws InvalidArgument as OpPolicy::bind does.
template <typename Module>
Recipe bound(Recipe recipe, const Module& model) {
  if (recipe.policy.has_value() && recipe.policy->needs_model(model)) recipe.policy->bind(model);
  return recipe;
}

}  // namespace amp
