// Whether a tensor is another one rounded.
#pragma once

#include <ATen/core/Tensor.h>

namespace amp::tensor_lists {

// Whether each element of `rounded` (fp16 or bf16) is the rounded fp32 element of `numbers`, bit
// for bit except the payloads of NaN. Both must be on the CPU. Reads each once, on
// at::get_num_threads() threads. Returns false, without reading, for tensors that have gaps or
// another order of dimensions.
bool is_rounded(const at::Tensor& numbers, const at::Tensor& rounded);

}  // namespace amp::tensor_lists
