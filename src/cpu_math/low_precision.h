// fp16 and bf16 products and convolutions, computed as a tensor core does: low-precision operands,
// fp32 sums, one rounding back.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <optional>
#include <tuple>

namespace amp::cpu_math {

// The first returns the exact values in fp32, the second rounds to nearest even in the dtype of
// `like`. Strides are kept.
at::Tensor widened(const at::Tensor& narrow);
at::Tensor rounded(const at::Tensor& wide, const at::Tensor& like);

// alpha (a b) + beta self. Operands are Half or BFloat16, both the same, of matching sizes; self
// may be anything that broadcasts to the result, and is not read when beta is 0. Batched: a [batch,
// m, k], b [batch, k, n].
at::Tensor low_precision_product(const at::Tensor& a, const at::Tensor& b);
at::Tensor low_precision_product_plus(const at::Tensor& self, const at::Tensor& a,
                                      const at::Tensor& b, const at::Scalar& beta,
                                      const at::Scalar& alpha);

// The geometry that every convolution op carries.
struct ConvolutionShape {
  at::IntArrayRef stride, padding, dilation;
  bool transposed;
  at::IntArrayRef output_padding;
  std::int64_t groups;
};

at::Tensor low_precision_convolution(const at::Tensor& input, const at::Tensor& weight,
                                     const std::optional<at::Tensor>& bias,
                                     const ConvolutionShape& shape);

using ConvolutionGradients = std::tuple<at::Tensor, at::Tensor, at::Tensor>;
ConvolutionGradients low_precision_convolution_backward(const at::Tensor& grad_output,
                                                        const at::Tensor& input,
                                                        const at::Tensor& weight,
                                                        at::OptionalIntArrayRef bias_sizes,
                                                        const ConvolutionShape& shape,
                                                        std::array<bool, 3> output_mask);

}  // namespace amp::cpu_math
