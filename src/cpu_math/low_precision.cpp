// fp16 and bf16 products and convolutions through fp32.
#include "src/cpu_math/low_precision.h"

#include <c10/core/SymIntArrayRef.h>  // the dispatch headers below want it first

#include <ATen/Parallel.h>
#include <ATen/ops/convolution_backward_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/convolution_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "src/cpu_math/engines.h"

namespace amp::cpu_math {
namespace {

// LibTorch shares an elementwise op among its threads from 32,768 elements on, which for a
// conversion is 3 us of work. Where other programs use the cores too, the sharing waits a time
// slice for the thread that has no core: 16 ms were measured, for what one thread does in 0.01. So
// one thread converts, in pieces too small to be shared, while what sharing would gain is little:
// up to two million elements (0.3 ms) with two threads, 125,000 with eight. (The product that
// follows is shared, and the faster for it, so the conversion's part grows with the threads.)
constexpr std::int64_t kPiece = 32'767;
constexpr std::int64_t kShared = 8'000'000;  // elements times threads squared

bool converts_alone(const at::Tensor& tensor) {
  const std::int64_t threads = at::get_num_threads(), size = tensor.numel();
  return threads > 1 && size > kPiece && size * threads * threads <= kShared &&
         tensor.is_non_overlapping_and_dense();
}

// In dtype, with the same strides.
at::Tensor converted(const at::Tensor& tensor, c10::ScalarType dtype) {
  if (!converts_alone(tensor)) return tensor.to(dtype);
  const auto result = at::empty_like(tensor, tensor.options().dtype(dtype));
  const std::int64_t size = tensor.numel();
  const auto from = tensor.as_strided({size}, {1}), to = result.as_strided({size}, {1});
  for (std::int64_t begin = 0; begin < size; begin += kPiece) {
    const std::int64_t length = std::min(kPiece, size - begin);
    to.narrow(0, begin, length).copy_(from.narrow(0, begin, length));
  }
  return result;
}

}  // namespace

at::Tensor widened(const at::Tensor& narrow) { return converted(narrow, c10::kFloat); }
at::Tensor rounded(const at::Tensor& wide, const at::Tensor& like) {
  return converted(wide, like.scalar_type());
}

namespace {

at::Tensor wide_product(const at::Tensor& a, const at::Tensor& b) {
  return a.dim() == 3 ? fast_batched_product(widened(a), widened(b))
                      : fast_product(widened(a), widened(b));
}

}  // namespace

at::Tensor low_precision_product(const at::Tensor& a, const at::Tensor& b) {
  return rounded(wide_product(a, b), a);
}

at::Tensor low_precision_product_plus(const at::Tensor& self, const at::Tensor& a,
                                      const at::Tensor& b, const at::Scalar& beta,
                                      const at::Scalar& alpha) {
  if (is_bias(self, a, b, beta, alpha))
    return rounded(fast_product(widened(a), widened(b), widened(self)), a);
  auto sum = wide_product(a, b);
  const double times = alpha.toDouble(), share = beta.toDouble();
  if (times != 1.0) sum.mul_(times);
  if (share != 0.0) sum.add_(widened(self), share);
  return rounded(sum, a);
}

at::Tensor low_precision_convolution(const at::Tensor& input, const at::Tensor& weight,
                                     const std::optional<at::Tensor>& bias,
                                     const ConvolutionShape& shape) {
  const bool has_bias = bias.has_value() && bias->defined();
  const auto wide_bias = has_bias ? std::optional(widened(*bias)) : std::nullopt;
  return rounded(at::compositeexplicitautograd::convolution(
                     widened(input), widened(weight), wide_bias, shape.stride, shape.padding,
                     shape.dilation, shape.transposed, shape.output_padding, shape.groups),
                 input);
}

ConvolutionGradients low_precision_convolution_backward(const at::Tensor& grad_output,
                                                        const at::Tensor& input,
                                                        const at::Tensor& weight,
                                                        at::OptionalIntArrayRef bias_sizes,
                                                        const ConvolutionShape& shape,
                                                        std::array<bool, 3> output_mask) {
  const auto [grad_input, grad_weight, grad_bias] =
      at::compositeexplicitautograd::convolution_backward(
          widened(grad_output), widened(input), widened(weight), bias_sizes, shape.stride,
          shape.padding, shape.dilation, shape.transposed, shape.output_padding, shape.groups,
          output_mask);
  // oneDNN computes the gradients of weight and bias together; one that was not asked for stays
  // undefined.
  const auto asked = [&](std::size_t i, const at::Tensor& gradient) {
    return output_mask[i] ? rounded(gradient, input) : at::Tensor();
  };
  return {asked(0, grad_input), asked(1, grad_weight), asked(2, grad_bias)};
}

}  // namespace amp::cpu_math
