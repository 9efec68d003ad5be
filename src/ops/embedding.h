// embedding by lower_precision.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/embedding_ops.h>

#include "src/autocast/own_kernel.h"

namespace amp::autocast {

// The rows that were looked up are rounded, which gives the bits of a rounded table without one; and their
// gradients, of which a common token has hundreds, add up in the table's dtype.
template <>
struct OwnKernel<at::_ops::embedding> : CastAndCall {
  static constexpr bool computes(CastRule rule, c10::DeviceType) {
    return rule == CastRule::lower_precision;
  }
  static at::Tensor run(const Casts& to_low, const at::Tensor& weight, const at::Tensor& indices,
                        const c10::SymInt& padding_idx, bool scale_grad_by_freq, bool sparse) {
    return to_low(
        at::_ops::embedding::call(weight, indices, padding_idx, scale_grad_by_freq, sparse));
  }
};

}  // namespace amp::autocast
