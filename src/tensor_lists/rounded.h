// Whether a tensor is another one rounded.
#pragma once

#include <ATen/core/Tensor.h>

namespace amp::tensor_lists {

// Whether each element of `rounded` (fp16 or bf16) is what the fp32 one of `numbers` rounds to, bit for
// bit but for the payloads of NaN. Both on the CPU. Reads each once, on at::get_num_threads() threads.
// False, without a look, for tensors that have holes or another order of dimensions.
bool is_rounded(const at::Tensor& numbers, const at::Tensor& rounded);

}  // namespace amp::tensor_lists
