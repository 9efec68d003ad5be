// A scaler's options and state in the terms of its rule, and back.
#include "src/grad_scaler/state.h"

namespace amp::scaling {

Rule rule_of(const GradScalerOptions& options) {
  return {options.growth_factor, options.backoff_factor, options.growth_interval,
          options.hysteresis,    options.min_scale,      options.max_scale};
}

Scale first_scale(const GradScalerOptions& options) {
  return {static_cast<float>(options.init_scale), 0, options.hysteresis, 0};
}

GradScalerState state_of(const Scale& scale, const Rule& rule) {
  return {static_cast<double>(scale.value),
          rule.growth_factor,
          rule.backoff_factor,
          rule.growth_interval,
          scale.growth_tracker,
          scale.hysteresis_left,
          scale.consecutive_skips};
}

Scale scale_of(const GradScalerState& state) {
  return {static_cast<float>(state.scale), state.growth_tracker, state.hysteresis_left,
          state.consecutive_skips};
}

}  // namespace amp::scaling
