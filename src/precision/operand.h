// The tensors that the functions of precision.h take, in memory that the kernels can read.
#pragma once

#include <ATen/core/Tensor.h>

namespace amp::precision {

// Throws InvalidArgument, which begins with `who`, unless x is a dense fp32, fp16, bf16 or fp64
// tensor with memory.
void check_operand(const char* who, const at::Tensor& x);

// A checked x without its autograd history, on the host, in fp32, fp16 or bf16, without gaps: in any
// order of its dimensions, or `in_order`, contiguous. x itself where it is so already. Waits for a
// CUDA device.
at::Tensor on_host(const at::Tensor& x, bool in_order);

// Throws InvalidArgument unless the scale and its inverse are normal in fp32.
void check_scale(const char* who, double scale);

}  // namespace amp::precision
