// The arithmetic of dynamic loss scaling, without tensors: when the scale backs off, when it grows.
#pragma once

#include <cstdint>
#include <limits>

namespace amp::scaling {

// The numbers that change from step to step.
struct Scale {
  float value = 65536.0f;
  std::int64_t growth_tracker = 0;   // clean steps since the last change or overflow
  std::int64_t hysteresis_left = 1;  // overflows that are still forgiven, the next backoff included
  std::int64_t consecutive_skips = 0;  // overflows in a row
};

// The numbers that rule them.
struct Rule {
  double growth_factor = 2.0;
  double backoff_factor = 0.5;
  std::int64_t growth_interval = 2000;
  std::int64_t hysteresis = 1;
  double min_scale = std::numeric_limits<float>::min();
  double max_scale = std::numeric_limits<float>::max();
};

// The scale after one iteration. Products are made in double and rounded once to fp32.
//
// Overflow: spends one hysteresis credit and resets the tracker; when no credit is left,
//   value = max(value x backoff_factor, min_scale); a value already below min_scale stays.
// Clean: refills the credits; at tracker + 1 >= growth_interval,
//   value = value x growth_factor unless that passes max_scale; the tracker resets either way.
// Source: _amp_update_scale_, PyTorch 2.11; hysteresis: Megatron-LM's DynamicGradScaler.
Scale next_scale(Scale scale, const Rule& rule, bool found_inf);

}  // namespace amp::scaling
