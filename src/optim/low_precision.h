// bf16 and fp16 weights that stand for fp32 ones.
#pragma once

#include <ATen/core/Tensor.h>

#include "amp/optim/memory.h"
#include "src/kernels/kernels.h"
#include "src/optim/parameter_state.h"

namespace amp::optim {

bool is_low_precision(c10::ScalarType dtype);

// The tensor's version; 0 for an inference tensor, which has none.
std::uint32_t version_of(const at::Tensor& tensor);

// For the kernels. copy: receives an fp32 parameter's value rounded; may be undefined.
kernels::Weights weights_of(const at::Tensor& parameter, const ParameterState& state,
                            const MemoryOptions& memory, const at::Tensor& copy);

// If a parameter was changed since the state has seen it, its master takes the new value. On the
// CPU every change is seen; elsewhere only one that raised the version.
void take_changes(const at::Tensor& parameter, ParameterState& state);

// The value in the dtype of the arithmetic. It is a new tensor, except for fp32 and fp64
// parameters.
at::Tensor value_of(const at::Tensor& parameter, const ParameterState& state,
                    const MemoryOptions& memory);

}  // namespace amp::optim
