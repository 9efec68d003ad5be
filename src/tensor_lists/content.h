// A number that changes when a tensor does.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace amp::tensor_lists {

// Of the bits of a dense tensor on the CPU, in the order of memory; 0 for others, which are not read. A
// change within one word of eight bytes always gives another number, any other change all but certainly
// (one in 2^64). At the speed of memory.
std::uint64_t content_of(const at::Tensor& tensor);

}  // namespace amp::tensor_lists
