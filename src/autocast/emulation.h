// Operands rounded to a format that autocast has no dtype for.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>
#include <type_traits>
#include <vector>

#include "amp/precision/emulation.h"

namespace amp::autocast {

// Whether this tensor stays as it is under Emulation.
bool stays_as_it_is(Format format, const at::Tensor& tensor);

// `tensor` in fp32, rounded to the format as Emulation says; its gradient passes as it is.
at::Tensor rounded_operand(Format format, const at::Tensor& tensor);

// `result`, whose gradient will be rounded. A result without a gradient comes back as it is.
at::Tensor with_rounded_gradient(const Emulation& emulation, const at::Tensor& result);

// The tensors that an op returns.
template <typename T>
T with_rounded_gradients(const Emulation& emulation, T result) {
  if constexpr (std::is_same_v<T, at::Tensor>) {
    return with_rounded_gradient(emulation, result);
  } else if constexpr (std::is_same_v<T, std::vector<at::Tensor>>) {
    for (auto& tensor : result) tensor = with_rounded_gradient(emulation, tensor);
    return result;
  } else if constexpr (requires { std::tuple_size<T>::value; }) {
    std::apply(
        [&](auto&... parts) {
          ((parts = with_rounded_gradients(emulation, std::move(parts))), ...);
        },
        result);
    return result;
  } else {
    return result;
  }
}

}  // namespace amp::autocast
