// The gradients of a step: collected, brought into the order of their parameters, given back.
#pragma once

#include <vector>

#include "src/optim/check_parameters.h"
#include "src/optim/entry.h"

namespace amp::optim {

// One entry for each parameter that has a gradient. Throws InvalidArgument by name, before anything
// is changed. A gradient tensor that two parameters share is given back once.
void collect_gradients(const Algorithm& algorithm, std::vector<Slot>& slots, bool give_back,
                       std::vector<Entry>& entries);

// Leaves the gradient that was used in `.grad`: in the tensor that is there, or in a new fp32 one
// if that is fp16. used: dense, the parameter's shape. Sparse gradients are multiplied by `factor`,
// 0-dim, instead.
void give_back(Entry& entry, const at::Tensor& used, const at::Tensor& factor);

}  // namespace amp::optim
