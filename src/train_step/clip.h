// Clipping by the global gradient norm without waiting for the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace amp::train_step {

// The global L2 norm of the gradients: 0-dim, fp32 (fp64 if a gradient is), on the first gradient's
// device. Empty list: a zero on the CPU.
at::Tensor global_norm(const std::vector<at::Tensor>& gradients);

// Multiplies every gradient in place by min(1, max_norm / (norm + 1e-6)).
// Source: torch::nn::utils::clip_grad_norm_, PyTorch 2.11, bit for bit. (Python's multiplies by the
// reciprocal instead of dividing: one ulp apart.)
void clip_to_norm_(const std::vector<at::Tensor>& gradients, const at::Tensor& norm,
                   double max_norm);

}  // namespace amp::train_step
