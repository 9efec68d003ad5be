// The ops that a rule for modules can reach and no list names.
#pragma once

#include <string>
#include <vector>

namespace amp::autocast {

// By their full names: those that compute a tensor from tensors and write to none. Not among them are
// views, casts, copies, factories, ops of the backward pass and those that LibTorch calls inside of
// others.
std::vector<std::string> ops_for_modules();

}  // namespace amp::autocast
