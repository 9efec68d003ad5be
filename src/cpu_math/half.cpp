// fp16 products and convolutions through fp32.
#include "src/cpu_math/half.h"

#include <c10/core/SymIntArrayRef.h>  // the dispatch headers below want it first

#include <ATen/ops/convolution_backward_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/convolution_compositeexplicitautograd_dispatch.h>

#include "src/cpu_math/engines.h"

namespace amp::cpu_math {
namespace {

at::Tensor widened(const at::Tensor& half) { return half.to(c10::kFloat); }
at::Tensor rounded(const at::Tensor& wide) { return wide.defined() ? wide.to(c10::kHalf) : wide; }

at::Tensor wide_product(const at::Tensor& a, const at::Tensor& b) {
  return a.dim() == 3 ? fast_batched_product(widened(a), widened(b))
                      : fast_product(widened(a), widened(b));
}

bool is_one(const at::Scalar& scalar) {
  return scalar.isIntegral(false) ? scalar.toLong() == 1 : scalar.toDouble() == 1.0;
}
bool is_zero(const at::Scalar& scalar) { return scalar.toDouble() == 0.0; }

}  // namespace

at::Tensor half_product(const at::Tensor& a, const at::Tensor& b) {
  return rounded(wide_product(a, b));
}

at::Tensor half_product_plus(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b,
                             const at::Scalar& beta, const at::Scalar& alpha) {
  const bool is_bias = a.dim() == 2 && self.dim() == 1 && self.size(0) == b.size(1);
  if (is_bias && is_one(beta) && is_one(alpha)) {
    return rounded(fast_product(widened(a), widened(b), widened(self)));
  }
  auto sum = wide_product(a, b);
  if (!is_one(alpha)) sum.mul_(alpha);
  if (!is_zero(beta)) sum.add_(widened(self), beta);
  return rounded(sum);
}

at::Tensor half_convolution(const at::Tensor& input, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, const ConvolutionShape& shape) {
  const bool has_bias = bias.has_value() && bias->defined();
  const auto wide_bias = has_bias ? std::optional(widened(*bias)) : std::nullopt;
  return rounded(at::compositeexplicitautograd::convolution(
      widened(input), widened(weight), wide_bias, shape.stride, shape.padding, shape.dilation,
      shape.transposed, shape.output_padding, shape.groups));
}

ConvolutionGradients half_convolution_backward(const at::Tensor& grad_output,
                                               const at::Tensor& input, const at::Tensor& weight,
                                               at::OptionalIntArrayRef bias_sizes,
                                               const ConvolutionShape& shape,
                                               std::array<bool, 3> output_mask) {
  const auto [grad_input, grad_weight, grad_bias] =
      at::compositeexplicitautograd::convolution_backward(
          widened(grad_output), widened(input), widened(weight), bias_sizes, shape.stride,
          shape.padding, shape.dilation, shape.transposed, shape.output_padding, shape.groups,
          output_mask);
  return {rounded(grad_input), rounded(grad_weight), rounded(grad_bias)};
}

}  // namespace amp::cpu_math
