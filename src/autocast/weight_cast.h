// The cast of a weight, from the copy that its optimizer wrote where there is one.
#pragma once

#include <ATen/core/Tensor.h>

namespace amp::autocast {

// `weight` in `dtype`, recorded for autograd, under no_grad too. If an optimizer of ours steps the
// weight, the result is its copy, or becomes it; its gradient then goes on in the dtype it comes in,
// and autograd's engine casts it to the one that the weight's .grad has. Sets `served`, if given, to
// whether nothing had to be cast.
at::Tensor cast_of(const at::Tensor& weight, c10::ScalarType dtype, bool* served = nullptr);

}  // namespace amp::autocast
