// The models the program brings along.
#pragma once

#include <string>
#include <vector>

namespace ampersand {

std::vector<std::string> builtin_model_names();

// Puts them into the registry, once.
void register_builtin_models();

}  // namespace ampersand
