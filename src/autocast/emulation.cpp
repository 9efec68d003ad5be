// Rounding with a gradient of 1, forwards and backwards.
#include "src/autocast/emulation.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "amp/precision.h"

namespace amp::autocast {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor rounded(Format format, const at::Tensor& tensor) {
  const bool is_fp8 = format_info(format).bytes == 1;
  return is_fp8 ? TensorScale({.format = format}).quantize(tensor) : quantize(tensor, format);
}

struct Rounded : torch::autograd::Function<Rounded> {
  static at::Tensor forward(AutogradContext*, const at::Tensor& tensor, std::int64_t format) {
    return rounded(static_cast<Format>(format), tensor);
  }
  static variable_list backward(AutogradContext*, const variable_list& gradients) {
    return {gradients[0], at::Tensor()};
  }
};

// The identity. Its backward pass is differentiable: a rounding again.
struct RoundedGradient : torch::autograd::Function<RoundedGradient> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& tensor, std::int64_t format) {
    ctx->saved_data["format"] = format;
    return tensor.detach();
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto format = static_cast<Format>(ctx->saved_data["format"].toInt());
    const auto& gradient = gradients[0];
    if (!gradient.defined() || stays_as_it_is(format, gradient)) return {gradient, at::Tensor()};
    return {Rounded::apply(gradient, static_cast<std::int64_t>(format)), at::Tensor()};
  }
};

}  // namespace

bool stays_as_it_is(Format format, const at::Tensor& tensor) {
  return format == Format::fp32 || (format_info(format).bytes == 1 && tensor.dim() < 2);
}

at::Tensor rounded_operand(Format format, const at::Tensor& tensor) {
  const auto wide = tensor.to(c10::kFloat);
  if (stays_as_it_is(format, wide)) return wide;
  return Rounded::apply(wide, static_cast<std::int64_t>(format));
}

at::Tensor with_rounded_gradient(const Emulation& emulation, const at::Tensor& result) {
  if (!result.defined() || !result.requires_grad() || !c10::GradMode::is_enabled()) return result;
  return RoundedGradient::apply(result, static_cast<std::int64_t>(emulation.backward));
}

}  // namespace amp::autocast
