// Gradients in the dtype in which the backward pass makes them.
#include "src/train_step/gradient_dtypes.h"

#include <optional>

namespace amp::train_step {
namespace {

// LibTorch has it from 2.10 or 2.11 on.
template <typename Tensor>
bool set_grad_dtype(const Tensor& parameter, std::optional<c10::ScalarType> dtype) {
  if constexpr (requires { parameter.set_grad_dtype(dtype); }) {
    parameter.set_grad_dtype(dtype);
    return true;
  }
  return false;
}

}  // namespace

void GradientDtypes::release(torch::optim::Optimizer& optimizer) {
  for (auto& group : optimizer.param_groups()) {
    for (auto& parameter : group.params()) {
      if (parameter.scalar_type() != c10::kFloat || parameter.grad().defined()) continue;
      if (set_grad_dtype(parameter, std::nullopt)) parameters_.push_back(parameter);
    }
  }
}

// A gradient of another dtype would not fit any more.
GradientDtypes::~GradientDtypes() {
  for (auto& parameter : parameters_) {
    if (parameter.grad().defined() && parameter.grad().scalar_type() != c10::kFloat)
      parameter.mutable_grad() = parameter.grad().to(c10::kFloat);
    set_grad_dtype(parameter, c10::kFloat);
  }
}

}  // namespace amp::train_step
