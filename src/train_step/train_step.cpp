// TrainStep: what the user calls.
#include "amp/train_step.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>

#include "amp/error.h"
#include "src/recipe/bound.h"
#include "src/train_step/impl.h"
#include "src/train_step/load_weights.h"

namespace amp {

std::optional<double> StepReport::grad_norm() const {
  if (!grad_norm_.defined()) return std::nullopt;
  return grad_norm_.item<double>();
}

double StepReport::scale() const {
  return scale_on_device_.defined() ? scale_on_device_.item<double>() : scale_;
}

TrainStep::TrainStep(torch::nn::Module& model, torch::optim::Optimizer& optimizer, Recipe recipe)
    : impl_(std::make_unique<Impl>(train_step::model_of(model), optimizer, bound(recipe, model))) {}
TrainStep::TrainStep(torch::jit::Module& model, torch::optim::Optimizer& optimizer, Recipe recipe)
    : impl_(std::make_unique<Impl>(train_step::model_of(model), optimizer, bound(recipe, model))) {}
TrainStep::~TrainStep() = default;

StepReport TrainStep::operator()(at::TensorList inputs, const Loss& loss) {
  return impl_->micro_batch([&] { return loss(inputs); });
}

StepReport TrainStep::operator()(const std::function<at::Tensor()>& loss) {
  return impl_->micro_batch(loss);
}

StepReport TrainStep::flush() { return impl_->flush(); }

NamedTensors TrainStep::weights() const {
  NamedTensors weights;
  impl_->masters.adopt(impl_->optimizer);
  for (const auto& item : impl_->masters.values())
    weights.emplace_back(item.name, item.tensor.detach());
  return weights;
}

void TrainStep::load_weights(const NamedTensors& weights) {
  train_step::load_weights(impl_->masters.values(), weights);
  impl_->take_loaded_weights();
}

bool TrainStep::at_boundary() const { return impl_->micro_batches == 0; }
torch::optim::Optimizer& TrainStep::optimizer() { return impl_->optimizer; }
const Recipe& TrainStep::recipe() const { return impl_->recipe; }
GradScaler& TrainStep::scaler() { return impl_->scaler; }

}  // namespace amp
