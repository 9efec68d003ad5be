// What the kernels of a step read and write for one parameter: the only place where tensors become
// raw pointers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>

#include "src/kernels/kernels.h"

namespace amp::tensor_lists {

// The formats that the kernels know: fp32, fp16, bf16.
bool has_format(c10::ScalarType dtype);

// The memory of a dense tensor in the order in which it lies there; null for an undefined tensor.
// The tensors of one parameter have the same strides, so that the order is the same for all.
kernels::ConstSpan read(const at::Tensor& tensor);
kernels::Span write(const at::Tensor& tensor);
std::uint16_t* write_bits(const at::Tensor& tensor);  // of two bytes an element

// The same memory without the elements before.
kernels::ConstSpan from(kernels::ConstSpan span, std::size_t element);
kernels::Span from(kernels::Span span, std::size_t element);

struct Operands {
  std::size_t count = 0;
  kernels::Gradient gradient;
  kernels::Weights weights;
  kernels::Moment first{nullptr, kernels::Format::fp32};
  kernels::Moment second = first, largest = first;
  kernels::Noise noise;

  Operands from(std::size_t element) const;  // the same, without the elements before
};

}  // namespace amp::tensor_lists
