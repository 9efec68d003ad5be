// Rounding to bf16 or fp16 at random, by ATen: the numbers that the kernels get.
#pragma once

#include <ATen/core/Tensor.h>

#include "src/kernels/philox.h"

namespace amp::optim {

// values: fp32, in the parameter's order of dimensions. step: int64, 0-dim, on their device; stands
// for noise.step. Up or down with the probability of the distance. Does not wait for the device.
at::Tensor round_at_random(const at::Tensor& values, c10::ScalarType dtype,
                           const kernels::Noise& noise, const at::Tensor& step,
                           kernels::Stream stream);

}  // namespace amp::optim
