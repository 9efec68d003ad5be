// Dividing an optimizer's gradients by the loss scale, and finding the ones that are not finite.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <vector>

namespace amp::scaling {

// One flag per device that holds gradients: fp32, one element, non-zero if a gradient there was or
// became Inf or NaN. Empty: the optimizer has no gradient at all.
using FoundInf = std::vector<at::Tensor>;

// Multiplies every gradient by 1 / scale in place. The inverse is taken in double and rounded to
// fp32; bf16 values are multiplied in fp32. Refuses fp16 gradients, and others that are not
// fp32, bf16 or fp64, dense or sparse COO, by name before it changes anything. Does not wait for
// the device. Throws InvalidArgument.
FoundInf unscale_gradients(torch::optim::Optimizer& optimizer, float scale);

// Whether any flag is non-zero; NaN counts. Waits for each device.
bool any_found(const FoundInf& flags);

}  // namespace amp::scaling
