// An exponential moving average of the weights.
#include "app/training/ema.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

namespace ampersand {
namespace {

amp::NamedTensors copies(const amp::NamedTensors& weights, bool widened) {
  amp::NamedTensors result;
  for (const auto& [name, tensor] : weights) {
    const bool low = widened && tensor.is_floating_point() && tensor.scalar_type() != c10::kDouble;
    result.emplace_back(name, tensor.to(low ? c10::kFloat : tensor.scalar_type(), false, true));
  }
  return result;
}

}  // namespace

Ema::Ema(amp::TrainStep& train_step, double decay)
    : train_step_(train_step), decay_(decay), average_(copies(train_step.weights(), true)) {}

void Ema::update() {
  c10::NoGradGuard no_grad;
  const auto weights = train_step_.weights();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    auto& average = average_[i].second;
    const auto& now = weights[i].second;
    if (average.is_floating_point()) {
      average.lerp_(now.to(average.scalar_type()), 1 - decay_);
    } else {
      average.copy_(now);
    }
  }
}

void Ema::load(const amp::NamedTensors& saved) {
  for (std::size_t i = 0; i < average_.size(); ++i) average_[i].second.copy_(saved.at(i).second);
}

BorrowedWeights::BorrowedWeights(amp::TrainStep& train_step, const amp::NamedTensors& weights)
    : train_step_(train_step), own_(copies(train_step.weights(), false)) {
  train_step_.load_weights(weights);
}

BorrowedWeights::~BorrowedWeights() { train_step_.load_weights(own_); }

}  // namespace ampersand
