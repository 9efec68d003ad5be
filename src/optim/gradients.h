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

// Leaves the gradient that was used in `.grad`, which is dense: in the tensor that is there, or in a
// new fp32 one if that is fp16. used: dense, the parameter's shape.
void give_back(Entry& entry, const at::Tensor& used);
// Multiplies a sparse `.grad` by inv_scale * clip, of one element each; undefined: 1.
void scale_sparse_gradient(Entry& entry, const at::Tensor& inv_scale, const at::Tensor& clip);

}  // namespace amp::optim
