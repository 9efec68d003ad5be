// The forward and the backward pass of a micro-batch.
#include "app/training/passes.h"

#include "amp/autocast.h"
#include "amp/error.h"
#include "app/models/model_evaluator.h"

namespace ampersand {

amp::Batch Passes::next_batch() {
  if (!run_.batches->needs_model()) return run_.loader.next();
  ModelEvaluator evaluator(*run_.model, run_.recipe);
  return run_.loader.next(evaluator);
}

const amp::Batch& Passes::batch() {
  if (!batch_.has_value()) batch_ = next_batch().to(run_.device);
  return *batch_;
}

// Images and spectrograms come in the recipe's dtype, which outside of autocast does not go with
// fp32 weights.
amp::Batch Passes::wide_batch() {
  auto wide = batch();
  for (auto& input : wide.inputs) {
    if (input.is_floating_point()) input = input.to(c10::kFloat);
  }
  return wide;
}

at::Tensor Passes::loss_of(const amp::Batch& batch) {
  auto loss = run_.model->loss(run_.model->forward(batch.inputs), batch.targets);
  guard_.note_loss();
  return loss;
}

amp::StepReport Passes::step(const std::function<void()>& after_forward) {
  // The model computes without gradients for it, and nothing of that may be left in the step's casts.
  if (run_.batches->needs_model()) batch();
  return guarded([&] {
    return (*run_.train_step)([&] {
      auto loss = loss_of(batch());
      after_forward();
      loss_ = loss.detach();  // read after the step: to read it here would wait for the device
      return loss;
    });
  });
}

double Passes::loss() {
  const auto value = loss_.item<double>();
  loss_.reset();
  return value;
}

bool Passes::gave_up() const {
  const auto most = run_.recipe.scaler.max_consecutive_skips;
  if (run_.recipe.loss_scaling == amp::LossScaling::none || most == 0) return false;
  try {
    return run_.train_step->scaler().state_dict().consecutive_skips >= most;
  } catch (const amp::StateError&) {
    return true;  // it was stopped in its own work
  }
}

void Passes::both_passes() {
  at::Tensor loss;
  {
    const auto autocast = run_.recipe.autocast(run_.device.type());
    loss = loss_of(batch());
  }
  loss.mul(run_.train_step->scaler().get_scale()).backward();
}

// Whether the passes throw without a TrainStep around them.
bool Passes::throws_alone() {
  const NoSearch no_search;
  try {
    both_passes();
  } catch (...) {
    return true;
  }
  return false;
}

amp::Thrown Passes::sought(const amp::Thrown& thrown) {
  const NoSearch no_search;
  return located(run_.model.get(), thrown, [&] { both_passes(); });
}

void Passes::fail_in_backward(const std::exception_ptr& error) {
  auto thrown = amp::thrown_of(error);
  thrown.pass = amp::Pass::backward;
  const auto* observer = run_.plan.observer;
  const bool observed = observer != nullptr && observer->watches(run_.step);
  throw ModelError(run_.settings.model, observed ? thrown : sought(thrown), error);
}

}  // namespace ampersand
