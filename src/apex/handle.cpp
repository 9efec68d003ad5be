// initialize, and the handle that keeps autocast, loss scales and masters together.
#include "src/apex/handle.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <utility>

#include "amp/error.h"
#include "src/apex/level.h"
#include "src/cpu_math/switches.h"
#include "src/grad_scaler/announce_step.h"
#include "src/grad_scaler/check_optimizer.h"
#include "src/grad_scaler/state.h"
#include "src/grad_scaler/validate.h"
#include "src/train_step/check_model.h"

namespace amp {
namespace {

using Models = std::vector<train_step::Model>;
using Optimizers = std::vector<torch::optim::Optimizer*>;

std::vector<c10::DeviceType> checked_devices(const Models& models, const Recipe& recipe) {
  std::vector<c10::DeviceType> devices;
  for (const auto& model : models) {
    const auto type = train_step::checked_device("initialize", model.tensors(), recipe).type();
    if (std::ranges::find(devices, type) == devices.end()) devices.push_back(type);
  }
  return devices;
}

train_step::MasterWeights::Collect joined(const Models& models) {
  return [models] {
    std::vector<train_step::ModelTensor> all;
    for (const auto& model : models) {
      const auto tensors = model.tensors();
      all.insert(all.end(), tensors.begin(), tensors.end());
    }
    return all;
  };
}

apex::Regions regions(const std::vector<c10::DeviceType>& devices, c10::ScalarType dtype) {
  const bool casts = dtype != c10::kFloat;
  apex::Regions regions;
  for (const auto device : devices) {
    if (casts && device == c10::kCPU) cpu_math::want_low_precision_math(dtype);
    const auto target = casts ? std::optional(dtype) : std::nullopt;
    regions.push_back(
        std::make_unique<Autocast>(device, target, AutocastOptions{.enabled = casts}));
  }
  return regions;
}

}  // namespace

// Everything that can be refused is checked before the masters are made, because they change models
// and optimizers.
struct ApexInitializer {
  static ApexHandle make(const Models& models, const Optimizers& optimizers,
                         const std::string& level, const ApexOptions& options) {
    const auto recipe = apex::recipe_of(level, options);
    for (auto* optimizer : optimizers) {
      scaling::check_optimizer(*optimizer, "initialize");
      train_step::check_scaling("initialize", recipe, *optimizer);
    }
    auto scaler = train_step::scaler_options(recipe);
    if (scaler.enabled) scaling::check_options(scaler);
    auto devices = checked_devices(models, recipe);
    for (auto* optimizer : optimizers) train_step::check_parameters("initialize", *optimizer);
    auto casts = regions(devices, recipe.compute_dtype);
    std::vector<apex::OptimizerRecord> records(optimizers.size());
    for (std::size_t i = 0; i < records.size(); ++i) records[i].optimizer = optimizers[i];
    std::vector<apex::Loss> losses;
    for (std::int64_t i = 0; i < options.num_losses; ++i)
      losses.push_back(
          {scaling::LossScale(scaling::first_scale(scaler)), scaling::rule_of(scaler)});
    return ApexHandle(std::unique_ptr<ApexHandle::Impl>(
        new ApexHandle::Impl{recipe, std::move(devices), models,
                             train_step::MasterWeights(joined(models), optimizers, recipe),
                             std::move(records), std::move(losses), std::move(casts)}));
  }
};

void apex::OptimizerRecord::check_idle() const {
  if (in_scope) throw StateError("ApexHandle: a scale_loss scope is open; close() it first");
  if (!scaled_for.has_value()) return;
  throw StateError(
      "ApexHandle: gradients are still scaled, because the last scale_loss had delay_unscale; end "
      "the accumulation with one that has not");
}

apex::OptimizerRecord& ApexHandle::Impl::record_of(const torch::optim::Optimizer& optimizer) {
  for (auto& record : optimizers) {
    if (record.optimizer == &optimizer) return record;
  }
  throw InvalidArgument(
      "ApexHandle: this optimizer was not given to initialize(); name every optimizer there");
}

apex::Loss& ApexHandle::Impl::loss(std::int64_t loss_id) {
  if (loss_id >= 0 && loss_id < static_cast<std::int64_t>(losses.size()))
    return losses[static_cast<std::size_t>(loss_id)];
  throw InvalidArgument(
      "ApexHandle: loss_id must be below num_losses = " + std::to_string(losses.size()) + ", got " +
      std::to_string(loss_id) + "; give initialize() as many losses as there are");
}

apex::Regions ApexHandle::Impl::without_autocast() const { return regions(devices, c10::kFloat); }

void ApexHandle::Impl::check_idle() const {
  for (const auto& record : optimizers) record.check_idle();
}

ApexHandle::ApexHandle(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ApexHandle::~ApexHandle() = default;
ApexHandle::ApexHandle(ApexHandle&&) noexcept = default;

StepResult ApexHandle::step(torch::optim::Optimizer& optimizer) {
  auto& record = impl_->record_of(optimizer);
  record.check_idle();
  if (!record.overflow.empty()) return StepResult::skip(std::exchange(record.overflow, {}));
  const auto off = impl_->without_autocast();
  impl_->masters.follow_model();
  optimizer.step();
  scaling::announce_step(optimizer);
  impl_->masters.write_back(optimizer);
  return {};
}

double ApexHandle::loss_scale(std::int64_t loss_id) const {
  const auto& scale = impl_->loss(loss_id).scale;
  return impl_->scales() ? static_cast<double>(scale.value().value) : 1.0;
}

std::vector<GradScalerState> ApexHandle::state_dict() const {
  impl_->check_idle();
  std::vector<GradScalerState> states(impl_->losses.size());
  if (!impl_->scales()) return states;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const auto& [scale, rule] = impl_->losses[i];
    states[i] = scaling::state_of(scale.value(), rule);
  }
  return states;
}

void ApexHandle::load_state_dict(const std::vector<GradScalerState>& states) {
  impl_->check_idle();
  if (states.size() != impl_->losses.size()) {
    throw InvalidArgument("ApexHandle: the state holds " + std::to_string(states.size()) +
                          " loss scales, initialize() was called with num_losses = " +
                          std::to_string(impl_->losses.size()));
  }
  if (!impl_->scales()) return;
  for (const auto& state : states) {
    if (state.empty()) {
      throw StateError(
          "ApexHandle: the state to load is empty, as one without loss scaling is; load one that "
          "was saved with loss scaling");
    }
    scaling::check_state(state);
  }
  for (std::size_t i = 0; i < states.size(); ++i) {
    const auto& state = states[i];
    auto& [scale, rule] = impl_->losses[i];
    scale.set(scaling::scale_of(state));
    rule.growth_factor = state.growth_factor;
    rule.backoff_factor = state.backoff_factor;
    rule.growth_interval = state.growth_interval;
  }
}

NamedTensors ApexHandle::weights(std::size_t model) const {
  const auto& models = impl_->models;
  if (model >= models.size()) {
    throw InvalidArgument("ApexHandle: there is no model " + std::to_string(model) +
                          "; initialize() was given " + std::to_string(models.size()));
  }
  for (const auto& record : impl_->optimizers) impl_->masters.adopt(*record.optimizer);
  impl_->masters.follow_model();
  NamedTensors weights;
  for (const auto& item : models[model].tensors()) {
    const auto master = train_step::master_of(item.tensor);
    weights.emplace_back(item.name, (master.defined() ? master : item.tensor).detach());
  }
  return weights;
}

ApexHandle initialize(torch::nn::Module& model, torch::optim::Optimizer& optimizer,
                      const std::string& opt_level, ApexOptions options) {
  return ApexInitializer::make({train_step::model_of(model)}, {&optimizer}, opt_level, options);
}

ApexHandle initialize(torch::jit::Module& model, torch::optim::Optimizer& optimizer,
                      const std::string& opt_level, ApexOptions options) {
  return ApexInitializer::make({train_step::model_of(model)}, {&optimizer}, opt_level, options);
}

ApexHandle initialize(const std::vector<std::reference_wrapper<torch::nn::Module>>& models,
                      const ApexHandle::Optimizers& optimizers, const std::string& opt_level,
                      ApexOptions options) {
  Models given;
  for (const auto& model : models) given.push_back(train_step::model_of(model.get()));
  Optimizers addresses;
  for (const auto& optimizer : optimizers) addresses.push_back(&optimizer.get());
  return ApexInitializer::make(given, addresses, opt_level, options);
}

std::vector<at::Tensor> master_params(torch::optim::Optimizer& optimizer) {
  std::vector<at::Tensor> parameters;
  for (auto& group : optimizer.param_groups()) {
    const auto& params = group.params();
    parameters.insert(parameters.end(), params.begin(), params.end());
  }
  return parameters;
}

}  // namespace amp
