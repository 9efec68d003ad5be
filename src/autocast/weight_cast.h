// The cast of a weight, from the copy that its optimizer wrote where there is one.
#pragma once

#include <ATen/core/Tensor.h>

namespace torch::autograd {
struct Node;
}

namespace amp::autocast {

// `weight` in `dtype`, recorded for autograd, under no_grad too. If an optimizer of ours steps the
// weight, the result is its copy, or becomes it; its gradient then goes on in the dtype it comes in,
// and autograd's engine casts it to the one that the weight's .grad has. Sets `served`, if given, to
// whether nothing had to be cast.
at::Tensor cast_of(const at::Tensor& weight, c10::ScalarType dtype, bool* served = nullptr);

// Whether a node is that of a use.
bool is_weight_cast(const torch::autograd::Node& node);

// Lets the gradient of a use of a transposed view go to the weight itself, in the dtype it comes in,
// if nobody can tell. For who is about to run the backward pass, and before it begins. Returns whether
// the node leads to the weight now.
bool pass_by_view(torch::autograd::Node& node);

}  // namespace amp::autocast
