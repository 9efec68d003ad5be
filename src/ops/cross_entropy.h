// Cross entropy that reads low-precision logits without an fp32 copy of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "src/autocast/own_kernel.h"

namespace at::_ops {
struct cross_entropy_loss;
}

namespace amp::ops {

struct CrossEntropy {
  std::int64_t reduction;  // at::Reduction
  std::int64_t ignore_index;
  double label_smoothing;
};

// Whether cross_entropy takes these: fp16 or bf16 logits [rows, classes], not empty, with one class
// index (int64) a row; no wrappers of functorch or tracing.
bool takes_cross_entropy(const at::Tensor& logits, const at::Tensor& target);

// at::cross_entropy_loss of the logits in fp32, which is what it returns, for logits that stay in
// low precision: they are widened some rows at a time, forward and backward, and only each row's
// logarithm of the sum is kept. The logits may be changed afterwards: the gradient is that of what they
// were (a copy of them is made then, and only then). The gradient is rounded once to the logits' dtype. weight: [classes]
// in fp32 or undefined. With create_graph the backward pass is one of recorded ATen ops on the whole,
// which can be differentiated again. Does not wait for the device. Throws c10::Error for what
// at::cross_entropy_loss refuses.
//
// For a row x with target t, weight w, smoothing e and C classes:
//   loss = (1 - e) w_t (lse(x) - x_t) + e / C sum_c w_c (lse(x) - x_c)
// Source: torch.nn.functional.cross_entropy, PyTorch 2.11 (aten/src/ATen/native/LossNLL.cpp).
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& target,
                         const at::Tensor& weight, const CrossEntropy& options);

}  // namespace amp::ops

namespace amp::autocast {

// By fp32_inside.
template <>
struct OwnKernel<at::_ops::cross_entropy_loss> : CastAndCall {
  static constexpr bool computes(CastRule rule, c10::DeviceType) {
    return rule == CastRule::fp32_inside;
  }
  static at::Tensor run(const Casts& to_low, const at::Tensor& logits, const at::Tensor& target,
                        const std::optional<at::Tensor>& weight, std::int64_t reduction,
                        const c10::SymInt& ignore_index, double label_smoothing);
};

}  // namespace amp::autocast
