// softmax and log_softmax by fp32_inside: LibTorch's kernels but for those that round in between.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "src/autocast/own_kernel.h"

namespace at::_ops {
struct log_softmax_int;
struct softmax_int;
}  // namespace at::_ops

namespace amp::ops {

inline bool is_last(const at::Tensor& tensor, std::int64_t dim) {
  return dim == -1 || dim == tensor.dim() - 1;
}

// Measured on LibTorch 2.11: the CPU's softmax over another dimension than the last, and its log_softmax
// over the last, round in between. They go by `fp32`.
template <bool rounds_over_the_last>
struct Softmax : autocast::CastAndCall {
  static CastRule rule(CastRule rule, c10::DeviceType device, const autocast::Region*,
                       const at::Tensor& self, std::int64_t dim,
                       const std::optional<c10::ScalarType>& dtype) {
    const bool rounds = rule == CastRule::fp32_inside && device == c10::DeviceType::CPU &&
                        !dtype.has_value() && is_last(self, dim) == rounds_over_the_last;
    return rounds ? CastRule::fp32 : rule;
  }
};

}  // namespace amp::ops

namespace amp::autocast {

template <>
struct OwnKernel<at::_ops::softmax_int> : ops::Softmax<false> {};
template <>
struct OwnKernel<at::_ops::log_softmax_int> : ops::Softmax<true> {};

}  // namespace amp::autocast
