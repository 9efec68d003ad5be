// From tensors to raw pointers.
#include "src/tensor_lists/operands.h"

namespace amp::tensor_lists {
namespace {

kernels::Format format_of(c10::ScalarType dtype) {
  switch (dtype) {
    case c10::kHalf:
      return kernels::Format::fp16;
    case c10::kBFloat16:
      return kernels::Format::bf16;
    default:
      return kernels::Format::fp32;
  }
}

std::size_t size_of(kernels::Format format) { return format == kernels::Format::fp32 ? 4 : 2; }

template <typename Span>
void advance(Span& span, std::size_t elements) {
  using Byte = std::conditional_t<std::is_const_v<std::remove_pointer_t<decltype(span.data)>>,
                                  const std::byte, std::byte>;
  if (span.data != nullptr)
    span.data = static_cast<Byte*>(span.data) + elements * size_of(span.format);
}

template <typename Number>
void advance(Number*& data, std::size_t elements) {
  if (data != nullptr) data += elements;
}

}  // namespace

bool has_format(c10::ScalarType dtype) {
  return dtype == c10::kFloat || dtype == c10::kHalf || dtype == c10::kBFloat16;
}

kernels::ConstSpan read(const at::Tensor& tensor) {
  if (!tensor.defined()) return {nullptr, kernels::Format::fp32};
  return {tensor.const_data_ptr(), format_of(tensor.scalar_type())};
}

kernels::Span write(const at::Tensor& tensor) {
  if (!tensor.defined()) return {nullptr, kernels::Format::fp32};
  return {tensor.mutable_data_ptr(), format_of(tensor.scalar_type())};
}

std::uint16_t* write_bits(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<std::uint16_t*>(tensor.mutable_data_ptr()) : nullptr;
}

kernels::ConstSpan from(kernels::ConstSpan span, std::size_t element) {
  advance(span, element);
  return span;
}

kernels::Span from(kernels::Span span, std::size_t element) {
  advance(span, element);
  return span;
}

Operands Operands::from(std::size_t element) const {
  auto rest = *this;
  rest.count -= element;
  advance(rest.gradient.scaled, element);
  advance(rest.gradient.unscaled, element);
  advance(rest.weights.fp32, element);
  advance(rest.weights.low, element);
  advance(rest.weights.extra, element);
  advance(rest.first, element);
  advance(rest.second, element);
  advance(rest.largest, element);
  rest.noise.first += element;
  return rest;
}

}  // namespace amp::tensor_lists
