// Gradients in the dtype in which the backward pass makes them.
#include "src/train_step/gradient_dtypes.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>

#include <optional>

namespace amp::train_step {
namespace {

// LibTorch has it from 2.10 or 2.11 on.
template <typename Meta>
constexpr bool kHasGradDtype = requires(Meta& meta) {
  meta.allow_grad_dtype_mismatch_ = true;
};

// Tensor::set_grad_dtype does not serve here. What it has set stays set, so the gradient of a
// weight that becomes fp16 or fp64 later would be fp32. And a node that accumulates the gradient
// already does not learn of it.
template <typename Meta>
void set_any_dtype(Meta& meta, const at::Tensor& parameter, bool any) {
  if constexpr (kHasGradDtype<Meta>) {
    meta.allow_grad_dtype_mismatch_ = any;
    const auto node = torch::autograd::impl::try_get_grad_accumulator(parameter);
    const auto set = [&](auto& metadata) {
      metadata.set_grad_dtype(any ? std::nullopt : std::optional(parameter.scalar_type()));
    };
    if (node != nullptr) set(node->mutable_input_metadata(0));
  }
}

template <typename Meta>
bool has_own_dtype(const Meta& meta) {
  if constexpr (kHasGradDtype<Meta>)
    return meta.allow_grad_dtype_mismatch_ || meta.grad_dtype_.has_value();
  return true;
}

}  // namespace

void GradientDtypes::release(const at::Tensor& parameter) {
  auto* meta = torch::autograd::impl::get_autograd_meta(parameter);
  if (meta == nullptr || has_own_dtype(*meta)) return;
  if (parameter.scalar_type() != c10::kFloat || parameter.grad().defined() ||
      parameter._fw_grad(/*level=*/0).defined())
    return;
  released_.push_back(parameter);
  set_any_dtype(*meta, parameter, true);
}

void GradientDtypes::restore() {
  for (const auto& parameter : released_) {
    auto& gradient = parameter.mutable_grad();
    if (gradient.defined() && gradient.scalar_type() != parameter.scalar_type()) {
      const c10::NoGradGuard no_grad;
      gradient = gradient.to(parameter.scalar_type());
    }
    set_any_dtype(*torch::autograd::impl::get_autograd_meta(parameter), parameter, false);
  }
  released_.clear();
}

}  // namespace amp::train_step
