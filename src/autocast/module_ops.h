// The ops that a rule for modules can reach and no list names.
#pragma once

#include <string>
#include <vector>

namespace amp::autocast {

// Returns, by their full names, the ops that compute a tensor from tensors and write to none.
// Views, casts, copies, factories, ops of the backward pass and ops that LibTorch calls inside of
// others are not among them.
std::vector<std::string> ops_for_modules();

}  // namespace amp::autocast
