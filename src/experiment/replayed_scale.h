// The loss scale of a replay.
#pragma once

#include <cstdint>

#include "amp/experiment.h"
#include "src/experiment/state.h"

namespace amp::experiment {

// Whether nothing at all is below the format: no autocast and no loss scale.
inline bool is_wide_throughout(const Variation& variation) {
  return variation.wide.has_value() && !variation.recipe.has_value() && variation.wide_ops.empty();
}

// The scaler's rule, on a scale of its own.
class ReplayedScale {
 public:
  ReplayedScale(const Recipe& recipe, const State& state, const Variation& variation) {
    if (is_wide_throughout(variation)) return;
    if (variation.loss_scale.has_value()) {
      kind_ = LossScaling::fixed;
      value_ = *variation.loss_scale;
    } else if (variation.recipe.has_value()) {
      kind_ = recipe.loss_scaling;
      options_ = recipe.scaler;
      value_ = kind_ == LossScaling::dynamic ? recipe.scaler.init_scale : recipe.static_scale;
    } else {
      kind_ = recipe.loss_scaling;
      options_ = recipe.scaler;
      value_ = state.scale;
      if (state.scaler.has_value()) clean_ = state.scaler->growth_tracker;
    }
    if (kind_ == LossScaling::none) value_ = 1;
  }

  double value() const { return value_; }
  bool skips() const { return kind_ != LossScaling::none; }
  void update(bool overflowed) {
    if (kind_ != LossScaling::dynamic) return;
    if (overflowed) {
      value_ *= options_.backoff_factor;
      clean_ = 0;
    } else if (++clean_ >= options_.growth_interval) {
      value_ *= options_.growth_factor;
      clean_ = 0;
    }
  }

 private:
  LossScaling kind_ = LossScaling::none;
  GradScalerOptions options_ = {};
  double value_ = 1;
  std::int64_t clean_ = 0;
};

}  // namespace amp::experiment
