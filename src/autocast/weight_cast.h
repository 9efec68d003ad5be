// The cast of a weight: data that is kept, and a node of the graph for each use of it.
#pragma once

#include <ATen/core/Tensor.h>

namespace torch::autograd {
struct Node;
}

namespace amp::autocast {

// Returns the data of `weight` in `dtype`, without a graph. If an optimizer of ours steps the
// weight, this is the copy that the step wrote, or becomes that copy. Sets `served`, if given, to
// whether nothing had to be cast.
at::Tensor data_of(const at::Tensor& weight, c10::ScalarType dtype, bool* served = nullptr);

// Returns `tensor` as its cast. data: the cast of the tensor or, if `transposed`, of the tensor
// whose transposed view it is. The result shares the data's memory. A node of its own records it
// and passes its gradient on to the tensor as it comes: autograd's engine casts it to the dtype of
// the tensor's gradient before it adds it to those of other uses. So one cast serves any number of
// uses, and their gradients add up in fp32. A view gets its gradient itself, and so do its hooks
// and whoever differentiates with respect to it. Nothing is recorded under no_grad.
at::Tensor use_of(const at::Tensor& tensor, const at::Tensor& data, bool transposed);

// Whether a node is that of a use.
bool is_weight_cast(const torch::autograd::Node& node);

// Lets the gradient of a use of a transposed view go to the weight itself, in the dtype in which it
// comes, if nobody can tell the difference: only the use holds the view's node, and the node has no
// hooks. Call it just before the backward pass. Returns whether the node leads to the weight now;
// false for another node, and for a use of another tensor than a weight or its transpose.
bool pass_by_view(torch::autograd::Node& node);

}  // namespace amp::autocast
