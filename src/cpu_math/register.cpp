// Puts Ampersand's kernels on LibTorch's CPU key. Each looks at its operands' dtype and either
// computes or passes on to LibTorch's own kernel, which is one branch and one direct call.
//
// Registered when libamp is loaded and never removed: the dispatcher locks out writers only, so a
// registration while another thread computes would be a race, and one that is destroyed at exit
// would leave a dangling kernel.
#include <c10/core/SymIntArrayRef.h>  // the dispatch headers below want it first

#include <ATen/ops/_convolution_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/addmm_cpu_dispatch.h>
#include <ATen/ops/baddbmm_cpu_dispatch.h>
#include <ATen/ops/bmm_cpu_dispatch.h>
#include <ATen/ops/convolution_backward_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/convolution_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/mm_cpu_dispatch.h>
#include <torch/library.h>

#include "src/cpu_math/engines.h"
#include "src/cpu_math/low_precision.h"
#include "src/cpu_math/single_copy.h"
#include "src/cpu_math/switches.h"

namespace amp::cpu_math {
namespace {

using at::IntArrayRef;
using at::Scalar;
using at::Tensor;

bool is_low_precision(const Tensor& tensor) { return widens(tensor.scalar_type()); }

// Operands that LibTorch would refuse, or that have nothing to multiply, are left to it.
bool multiplies(const Tensor& a, const Tensor& b, std::int64_t dims, c10::ScalarType dtype) {
  return a.scalar_type() == dtype && b.scalar_type() == dtype && a.dim() == dims &&
         b.dim() == dims && a.size(dims - 1) == b.size(dims - 2) &&
         (dims == 2 || a.size(0) == b.size(0)) && a.numel() > 0 && b.numel() > 0;
}

bool takes_low_precision(const Tensor& a, const Tensor& b, std::int64_t dims) {
  return is_low_precision(a) && multiplies(a, b, dims, a.scalar_type());
}

bool takes_fp32(const Tensor& a, const Tensor& b, std::int64_t dims) {
  return a.scalar_type() == c10::kFloat && fp32_fastest() && multiplies(a, b, dims, c10::kFloat);
}

// Whether `self` is what the product may be added to without LibTorch's own checks.
bool adds_to(const Tensor& self, const Tensor& a, const Tensor& b) {
  if (self.scalar_type() != a.scalar_type() || self.dim() > a.dim()) return false;
  const std::int64_t last = b.size(-1), rows = a.size(-2);
  const auto fits = [&](std::int64_t from_end, std::int64_t size) {
    return self.dim() < from_end || self.size(-from_end) == 1 || self.size(-from_end) == size;
  };
  return fits(1, last) && fits(2, rows) && (a.dim() == 2 || fits(3, a.size(0)));
}

// --- mm, bmm ---

Tensor mm(const Tensor& a, const Tensor& b) {
  if (takes_low_precision(a, b, 2)) return low_precision_product(a, b);
  if (takes_fp32(a, b, 2)) return fast_product(a, b);
  return at::cpu::mm(a, b);
}

Tensor bmm(const Tensor& a, const Tensor& b) {
  if (takes_low_precision(a, b, 3)) return low_precision_product(a, b);
  if (takes_fp32(a, b, 3)) return fast_batched_product(a, b);
  return at::cpu::bmm(a, b);
}

// --- addmm, baddbmm ---

Tensor addmm(const Tensor& self, const Tensor& a, const Tensor& b, const Scalar& beta,
             const Scalar& alpha) {
  if (takes_low_precision(a, b, 2) && adds_to(self, a, b))
    return low_precision_product_plus(self, a, b, beta, alpha);
  if (takes_fp32(a, b, 2) && adds_to(self, a, b) && is_bias(self, a, b, beta, alpha))
    return fast_product(a, b, self);
  return at::cpu::addmm(self, a, b, beta, alpha);
}

Tensor baddbmm(const Tensor& self, const Tensor& a, const Tensor& b, const Scalar& beta,
               const Scalar& alpha) {
  if (takes_low_precision(a, b, 3) && adds_to(self, a, b))
    return low_precision_product_plus(self, a, b, beta, alpha);
  return at::cpu::baddbmm(self, a, b, beta, alpha);
}

// --- the out= and in-place variants of the four: only fp16 and bf16 are worth a detour through a
// fresh result, which also lets `out` overlap an operand ---

// Whether `out` has the dtype and the sizes of the product. Any other is LibTorch's to resize or to
// refuse.
bool takes_result(const Tensor& out, const Tensor& a, const Tensor& b) {
  return out.scalar_type() == a.scalar_type() && out.dim() == a.dim() &&
         out.size(-2) == a.size(-2) && out.size(-1) == b.size(-1) && out.size(0) == a.size(0);
}

Tensor& mm_out(const Tensor& a, const Tensor& b, Tensor& out) {
  if (takes_low_precision(a, b, 2) && takes_result(out, a, b))
    return out.copy_(low_precision_product(a, b));
  return at::cpu::mm_outf(a, b, out);
}

Tensor& bmm_out(const Tensor& a, const Tensor& b, Tensor& out) {
  if (takes_low_precision(a, b, 3) && takes_result(out, a, b))
    return out.copy_(low_precision_product(a, b));
  return at::cpu::bmm_outf(a, b, out);
}

bool adds_low_precision(const Tensor& self, const Tensor& a, const Tensor& b, std::int64_t dims,
                        const Tensor& out) {
  return takes_low_precision(a, b, dims) && adds_to(self, a, b) && takes_result(out, a, b);
}

Tensor& addmm_out(const Tensor& self, const Tensor& a, const Tensor& b, const Scalar& beta,
                  const Scalar& alpha, Tensor& out) {
  if (adds_low_precision(self, a, b, 2, out))
    return out.copy_(low_precision_product_plus(self, a, b, beta, alpha));
  return at::cpu::addmm_outf(self, a, b, beta, alpha, out);
}

Tensor& addmm_in_place(Tensor& self, const Tensor& a, const Tensor& b, const Scalar& beta,
                       const Scalar& alpha) {
  if (adds_low_precision(self, a, b, 2, self))
    return self.copy_(low_precision_product_plus(self, a, b, beta, alpha));
  return at::cpu::addmm_(self, a, b, beta, alpha);
}

Tensor& baddbmm_out(const Tensor& self, const Tensor& a, const Tensor& b, const Scalar& beta,
                    const Scalar& alpha, Tensor& out) {
  if (adds_low_precision(self, a, b, 3, out))
    return out.copy_(low_precision_product_plus(self, a, b, beta, alpha));
  return at::cpu::baddbmm_outf(self, a, b, beta, alpha, out);
}

Tensor& baddbmm_in_place(Tensor& self, const Tensor& a, const Tensor& b, const Scalar& beta,
                         const Scalar& alpha) {
  if (adds_low_precision(self, a, b, 3, self))
    return self.copy_(low_precision_product_plus(self, a, b, beta, alpha));
  return at::cpu::baddbmm_(self, a, b, beta, alpha);
}

// --- convolution ---

bool convolves_low_precision(const Tensor& input, const Tensor& weight,
                             const std::optional<Tensor>& bias) {
  const auto fits = [&](const Tensor& other) { return other.scalar_type() == input.scalar_type(); };
  return is_low_precision(input) && fits(weight) && input.numel() > 0 &&
         (!bias.has_value() || !bias->defined() || fits(*bias));
}

Tensor convolution(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                   IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation, bool transposed,
                   IntArrayRef output_padding, std::int64_t groups) {
  if (convolves_low_precision(input, weight, bias)) {
    return low_precision_convolution(
        input, weight, bias, {stride, padding, dilation, transposed, output_padding, groups});
  }
  return at::compositeexplicitautograd::convolution(input, weight, bias, stride, padding, dilation,
                                                    transposed, output_padding, groups);
}

Tensor underscore_convolution(const Tensor& input, const Tensor& weight,
                              const std::optional<Tensor>& bias, IntArrayRef stride,
                              IntArrayRef padding, IntArrayRef dilation, bool transposed,
                              IntArrayRef output_padding, std::int64_t groups, bool benchmark,
                              bool deterministic, bool cudnn_enabled, bool allow_tf32) {
  if (convolves_low_precision(input, weight, bias)) {
    return low_precision_convolution(
        input, weight, bias, {stride, padding, dilation, transposed, output_padding, groups});
  }
  return at::compositeexplicitautograd::_convolution(input, weight, bias, stride, padding, dilation,
                                                     transposed, output_padding, groups, benchmark,
                                                     deterministic, cudnn_enabled, allow_tf32);
}

ConvolutionGradients convolution_backward(const Tensor& grad_output, const Tensor& input,
                                          const Tensor& weight, at::OptionalIntArrayRef bias_sizes,
                                          IntArrayRef stride, IntArrayRef padding,
                                          IntArrayRef dilation, bool transposed,
                                          IntArrayRef output_padding, std::int64_t groups,
                                          std::array<bool, 3> output_mask) {
  if (grad_output.scalar_type() == input.scalar_type() &&
      convolves_low_precision(input, weight, std::nullopt)) {
    return low_precision_convolution_backward(
        grad_output, input, weight, bias_sizes,
        {stride, padding, dilation, transposed, output_padding, groups}, output_mask);
  }
  return at::compositeexplicitautograd::convolution_backward(grad_output, input, weight, bias_sizes,
                                                             stride, padding, dilation, transposed,
                                                             output_padding, groups, output_mask);
}

void register_kernels(torch::Library& library) {
  library.impl("mm", TORCH_FN(mm));
  library.impl("mm.out", TORCH_FN(mm_out));
  library.impl("bmm", TORCH_FN(bmm));
  library.impl("bmm.out", TORCH_FN(bmm_out));
  library.impl("addmm", TORCH_FN(addmm));
  library.impl("addmm.out", TORCH_FN(addmm_out));
  library.impl("addmm_", TORCH_FN(addmm_in_place));
  library.impl("baddbmm", TORCH_FN(baddbmm));
  library.impl("baddbmm.out", TORCH_FN(baddbmm_out));
  library.impl("baddbmm_", TORCH_FN(baddbmm_in_place));
  library.impl("convolution", TORCH_FN(convolution));
  library.impl("_convolution", TORCH_FN(underscore_convolution));
  library.impl("convolution_backward", TORCH_FN(convolution_backward));
}

bool register_once() {
  if (!is_first_copy()) return false;
  const NoWarnings silence;
  static auto* library =
      new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
  register_kernels(*library);
  return true;
}

[[maybe_unused]] const bool registered = register_once();

}  // namespace
}  // namespace amp::cpu_math
