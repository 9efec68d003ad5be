// TrainStep: the steps a to h, in order.
#include "amp/train_step.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>

#include <sstream>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "amp/optim.h"
#include "src/cpu_math/switches.h"
#include "src/grad_scaler/check_optimizer.h"
#include "src/recipe/bound.h"
#include "src/train_step/check_model.h"
#include "src/train_step/clip.h"
#include "src/train_step/gradient_dtypes.h"
#include "src/train_step/load_weights.h"
#include "src/train_step/master_weights.h"
#include "src/train_step/model_tensors.h"

namespace amp {

std::optional<double> StepReport::grad_norm() const {
  if (!grad_norm_.defined()) return std::nullopt;
  return grad_norm_.item<double>();
}

double StepReport::scale() const {
  return scale_on_device_.defined() ? scale_on_device_.item<double>() : scale_;
}

struct TrainStep::Impl {
  torch::optim::Optimizer& optimizer;
  Recipe recipe;
  c10::Device device;
  GradScaler scaler;
  train_step::MasterWeights masters;
  optim::FusedOptimizer* fused;  // the optimizer, if it is one of ours
  train_step::GradientDtypes gradients_as_they_come;
  std::int64_t micro_batches = 0;  // in the window so far

  // Everything that can be refused comes before the masters, which change model and optimizer.
  Impl(const std::vector<train_step::ModelTensor>& model, torch::optim::Optimizer& given,
       const Recipe& choice)
      : optimizer(given),
        recipe(checked(choice, given)),
        device(train_step::checked_device("TrainStep", model, choice)),
        scaler(train_step::scaler_options(choice)),
        masters(model, {&given}, choice),
        fused(dynamic_cast<optim::FusedOptimizer*>(&given)) {
    // Of one micro-batch, they need not be fp32 before the step has unscaled them.
    if (fused != nullptr && recipe.accumulation == 1) gradients_as_they_come.release(given);
    if (device.is_cpu()) cpu_math::want_narrow_math(recipe.compute_dtype);
  }

  static const Recipe& checked(const Recipe& recipe, torch::optim::Optimizer& optimizer) {
    recipe.validate();
    scaling::check_optimizer(optimizer, "TrainStep");
    train_step::check_scaling("TrainStep", recipe, optimizer);
    return recipe;
  }

  at::Tensor forward(const std::function<at::Tensor()>& loss) const {
    const auto autocast = recipe.autocast(device.type());
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
    masters.take_gradients(optimizer);
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
    if (fused != nullptr && micro_batches == recipe.accumulation) {
      at::Tensor seen;
      auto result = scaler.fused_step(*fused, recipe.max_grad_norm, seen);
      if (recipe.max_grad_norm > 0) norm = seen;
      return result;
    }
    scaler.unscale_(optimizer);
    complete_mean();
    if (recipe.max_grad_norm > 0) {
      const auto found = gradients();
      norm = train_step::global_norm(found);
      train_step::clip_to_norm_(found, norm, recipe.max_grad_norm);
    }
    return scaler.step(optimizer);
  }

  // The scale of now, without waiting for it.
  void note_scale(double& on_host, at::Tensor& on_device) const {
    on_device = scaler.scale_if_on_device();
    if (!on_device.defined()) on_host = scaler.get_scale();
  }

  void clear_window() {
    optimizer.zero_grad();
    micro_batches = 0;
  }

  // Steps e to h. A step that fails loses its window and nothing else.
  StepResult finish_window(at::Tensor& norm) {
    c10::NoGradGuard no_grad;
    StepResult result;
    try {
      result = run_optimizer(norm);
      // After a step that is not known to have run the masters are either new or what they were.
      if (!result.ready() || result.stepped()) masters.write_back(optimizer);
    } catch (...) {
      clear_window();
      scaler.discard_iteration();
      throw;
    }
    clear_window();
    scaler.update();
    return result;
  }
};

TrainStep::TrainStep(torch::nn::Module& model, torch::optim::Optimizer& optimizer, Recipe recipe)
    : impl_(
          std::make_unique<Impl>(train_step::tensors_of(model), optimizer, bound(recipe, model))) {}
TrainStep::TrainStep(torch::jit::Module& model, torch::optim::Optimizer& optimizer, Recipe recipe)
    : impl_(
          std::make_unique<Impl>(train_step::tensors_of(model), optimizer, bound(recipe, model))) {}
TrainStep::~TrainStep() = default;

StepReport TrainStep::operator()(at::TensorList inputs, const Loss& loss) {
  return (*this)([&] { return loss(inputs); });
}

StepReport TrainStep::operator()(const std::function<at::Tensor()>& loss) {
  StepReport report;
  impl_->note_scale(report.scale_, report.scale_on_device_);
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
  impl_->note_scale(report.scale_, report.scale_on_device_);
  report.at_boundary_ = impl_->micro_batches > 0;
  if (report.at_boundary_) report.result_ = impl_->finish_window(report.grad_norm_);
  return report;
}

NamedTensors TrainStep::weights() const {
  NamedTensors weights;
  for (const auto& item : impl_->masters.values())
    weights.emplace_back(item.name, item.tensor.detach());
  return weights;
}

void TrainStep::load_weights(const NamedTensors& weights) {
  train_step::load_weights(impl_->masters.values(), weights);
  impl_->masters.write_back(impl_->optimizer);
}

bool TrainStep::at_boundary() const { return impl_->micro_batches == 0; }
torch::optim::Optimizer& TrainStep::optimizer() { return impl_->optimizer; }
const Recipe& TrainStep::recipe() const { return impl_->recipe; }
GradScaler& TrainStep::scaler() { return impl_->scaler; }

}  // namespace amp
