// TrainStep: the steps a to h, in order.
#include "amp/train_step.h"

#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

#include <sstream>
#include <utility>
#include <vector>

#include "amp/autocast.h"
#include "amp/error.h"
#include "src/cpu_math/switches.h"
#include "src/grad_scaler/check_optimizer.h"
#include "src/train_step/clip.h"

namespace amp {
namespace {

[[noreturn]] void refuse_parameter(const std::string& name, const at::Tensor& parameter,
                                   const std::string& rule) {
  std::ostringstream message;
  message << "TrainStep: parameter '" << name << "' (shape " << parameter.sizes() << ") is "
          << parameter.scalar_type() << " on " << parameter.device() << "; " << rule;
  throw InvalidArgument(message.str());
}

// The device all parameters are on. They are the master weights, so they must have fp32's precision
// or better.
c10::Device checked_device(torch::nn::Module& model) {
  std::optional<c10::Device> device;
  for (const auto& item : model.named_parameters()) {
    const at::Tensor& parameter = item.value();
    if (!parameter.is_floating_point() || !parameter.requires_grad()) continue;
    if (parameter.scalar_type() != c10::kFloat && parameter.scalar_type() != c10::kDouble) {
      refuse_parameter(item.key(), parameter,
                       "the parameters are the master weights: convert the model to Float");
    }
    if (device.has_value() && *device != parameter.device()) {
      refuse_parameter(item.key(), parameter,
                       "the parameters before it are on " + device->str() + ": use one device");
    }
    device = parameter.device();
  }
  if (!device.has_value())
    throw InvalidArgument("TrainStep: the model has no floating-point parameter to train");
  return *device;
}

// A fixed scale is a dynamic one between two rails that leave it no room; overflows are still
// counted.
GradScalerOptions scaler_options(const Recipe& recipe) {
  auto options = recipe.scaler;
  options.enabled = recipe.loss_scaling != LossScaling::none;
  if (recipe.loss_scaling == LossScaling::fixed) {
    options.init_scale = static_cast<double>(static_cast<float>(recipe.static_scale));
    options.min_scale = options.max_scale = options.init_scale;
  }
  return options;
}

}  // namespace

std::optional<double> StepReport::grad_norm() const {
  if (!grad_norm_.defined()) return std::nullopt;
  return grad_norm_.item<double>();
}

struct TrainStep::Impl {
  torch::optim::Optimizer& optimizer;
  Recipe recipe;
  c10::Device device;
  GradScaler scaler;
  std::int64_t micro_batches = 0;  // in the window so far

  Impl(torch::nn::Module& model, torch::optim::Optimizer& given, const Recipe& choice)
      : optimizer(given),
        recipe(choice),
        device(checked_device(model)),
        scaler(scaler_options(choice)) {}

  at::Tensor forward(const std::function<at::Tensor()>& loss) const {
    const bool casts = recipe.compute_dtype != c10::kFloat;
    const auto dtype = casts ? std::optional(recipe.compute_dtype) : std::nullopt;
    Autocast autocast(device.type(), dtype, {.enabled = casts});
    return loss();
  }

  void check_loss(const at::Tensor& loss) const {
    if (!loss.defined())
      throw InvalidArgument("TrainStep: the loss function returned an undefined tensor");
    if (loss.numel() != 1 || !loss.is_floating_point()) {
      std::ostringstream message;
      message << "TrainStep: the loss must be one floating-point element, got shape "
              << loss.sizes() << " of " << loss.scalar_type() << "; reduce it, with mean() for one";
      throw InvalidArgument(message.str());
    }
    if (!loss.requires_grad()) {
      throw InvalidArgument(
          "TrainStep: the loss does not depend on any parameter that needs a gradient");
    }
  }

  void backward(const at::Tensor& loss) {
    const auto share =
        recipe.accumulation == 1 ? loss : loss / static_cast<double>(recipe.accumulation);
    scaler.scale(share).backward();
  }

  std::vector<at::Tensor> gradients() const {
    std::vector<at::Tensor> found;
    for (auto& group : optimizer.param_groups()) {
      for (auto& parameter : group.params()) {
        if (parameter.grad().defined()) found.push_back(parameter.grad());
      }
    }
    return found;
  }

  // The loss of each micro-batch was divided by the full count; this makes a partial window's
  // gradient a mean.
  void complete_mean() {
    if (micro_batches == recipe.accumulation) return;
    const double factor =
        static_cast<double>(recipe.accumulation) / static_cast<double>(micro_batches);
    for (auto& gradient : gradients()) gradient.mul_(factor);
  }

  // Steps e to g.
  StepResult run_optimizer(at::Tensor& norm) {
    scaler.unscale_(optimizer);
    complete_mean();
    if (recipe.max_grad_norm > 0) {
      const auto found = gradients();
      norm = train_step::global_norm(found);
      train_step::clip_to_norm_(found, norm, recipe.max_grad_norm);
    }
    return scaler.step(optimizer);
  }

  void clear_window() {
    optimizer.zero_grad();
    micro_batches = 0;
  }

  // Steps e to h. A step that fails loses its window and nothing else.
  StepResult finish_window(at::Tensor& norm) {
    c10::NoGradGuard no_grad;
    const auto before = scaler.state_dict();
    StepResult result;
    try {
      result = run_optimizer(norm);
    } catch (...) {
      clear_window();
      if (scaler.is_enabled()) scaler.load_state_dict(before);
      throw;
    }
    clear_window();
    scaler.update();
    return result;
  }
};

TrainStep::TrainStep(torch::nn::Module& model, torch::optim::Optimizer& optimizer, Recipe recipe) {
  recipe.validate();
  scaling::check_optimizer(optimizer, "TrainStep");
  impl_ = std::make_unique<Impl>(model, optimizer, recipe);
  if (impl_->device.is_cpu() && recipe.compute_dtype == c10::kHalf) cpu_math::want_half_math();
}
TrainStep::~TrainStep() = default;

StepReport TrainStep::operator()(at::TensorList inputs, const Loss& loss) {
  return (*this)([&] { return loss(inputs); });
}

StepReport TrainStep::operator()(const std::function<at::Tensor()>& loss) {
  StepReport report;
  report.scale_ = impl_->scaler.get_scale();
  {
    const auto value = impl_->forward(loss);
    impl_->check_loss(value);
    impl_->backward(value);
    report.loss_ = value.detach();
  }
  report.at_boundary_ = ++impl_->micro_batches == impl_->recipe.accumulation;
  if (report.at_boundary_) report.result_ = impl_->finish_window(report.grad_norm_);
  return report;
}

StepReport TrainStep::flush() {
  StepReport report;
  report.scale_ = impl_->scaler.get_scale();
  report.at_boundary_ = impl_->micro_batches > 0;
  if (report.at_boundary_) report.result_ = impl_->finish_window(report.grad_norm_);
  return report;
}

const Recipe& TrainStep::recipe() const { return impl_->recipe; }
GradScaler& TrainStep::scaler() { return impl_->scaler; }

}  // namespace amp
