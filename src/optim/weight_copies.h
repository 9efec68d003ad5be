// Low-precision copies of fp32 weights, written by the step that updates the weights.
#pragma once

#include <ATen/core/Tensor.h>

#include "amp/export.h"

namespace amp::optim::weight_copies {

// Wants a copy of this fp32 parameter in bf16 or fp16 to be written by every step from now on.
AMP_API void request(const at::Tensor& parameter, c10::ScalarType dtype);

// A tensor with the parameter's strides for the step to write the rounded weight into; undefined if
// none was requested. Does not allocate once there is one.
AMP_API at::Tensor copy_to_write(const at::Tensor& parameter);

// The step has written the parameter and its copy, and raised the parameter's version.
void written(const at::Tensor& parameter);

}  // namespace amp::optim::weight_copies
