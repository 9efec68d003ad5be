// What a GradScaler works on: parameters with given gradients and an SGD whose steps are exact.
#pragma once

#include <torch/optim/sgd.h>

#include <limits>
#include <vector>

#include "amp/grad_scaler.h"
#include "tests/support/tensors.h"

namespace amp::tests {

inline constexpr double kInf = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A learning rate that is a power of two: the product with a gradient does not round.
inline torch::optim::SGD sgd(const std::vector<at::Tensor>& parameters, double lr = 0.125) {
  return torch::optim::SGD(parameters, torch::optim::SGDOptions(lr));
}

inline void set_gradient(at::Tensor& parameter, const Values& values) {
  parameter.mutable_grad() = tensor(values, parameter.scalar_type()).reshape(parameter.sizes());
}

// One parameter of three elements, its optimizer and its scaler; the loss is the sum of
// parameter x gradient, so that its gradient is what was asked for.
struct Training {
  explicit Training(const GradScalerOptions& options = {.init_scale = 8.0}) : scaler(options) {}

  void backward(const Values& gradient) {
    scaler.scale((weight * tensor(gradient)).sum()).backward();
  }

  // One whole iteration, with fresh gradients.
  StepResult iterate(const Values& gradient) {
    optimizer.zero_grad();
    backward(gradient);
    const auto result = scaler.step(optimizer);
    scaler.update();
    return result;
  }

  at::Tensor weight = parameter({1.0, -2.0, 4.0});
  torch::optim::SGD optimizer = sgd({weight});
  GradScaler scaler;
};

}  // namespace amp::tests
