// A number that changes when a tensor does.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace amp::tensor_lists {

// A number from the bits of a dense tensor on the CPU, in the order of memory; 0 for other tensors,
// which are not read. A change within one word of eight bytes always gives another number; any
// other change does so almost certainly (all but one in 2^64). Runs at the speed of memory.
std::uint64_t content_of(const at::Tensor& tensor);

}  // namespace amp::tensor_lists
