// StepResult: whether a step ran, asked of the device when somebody wants to know.
#include "src/grad_scaler/step_result.h"

#include <sstream>
#include <utility>

#include "amp/grad_scaler.h"

namespace amp {
namespace scaling {

std::string shown(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

std::string overflow_at(double scale) {
  return "a gradient was Inf or NaN at loss scale " + shown(scale);
}

}  // namespace scaling

StepResult StepResult::skip(std::string reason, std::vector<at::Tensor> non_finite_parameters) {
  StepResult result;
  result.reason_ = std::move(reason);
  result.non_finite_parameters_ = std::move(non_finite_parameters);
  return result;
}

StepResult StepResult::pending(at::Tensor found_inf, at::Tensor loss_scale) {
  StepResult result;
  result.found_inf_ = std::move(found_inf);
  result.loss_scale_ = std::move(loss_scale);
  return result;
}

const std::string& StepResult::reason() const {
  if (found_inf_.defined()) {
    if (found_inf_.item<float>() != 0.0f)
      reason_ = scaling::overflow_at(loss_scale_.item<double>());
    found_inf_.reset();
    loss_scale_.reset();
  }
  return reason_;
}

}  // namespace amp
