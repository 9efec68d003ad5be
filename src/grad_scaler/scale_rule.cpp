// The arithmetic of dynamic loss scaling.
#include "src/grad_scaler/scale_rule.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace amp::scaling {
namespace {

// An infinite scale falls to the largest one allowed, so an overflow always makes the scale
// smaller.
float backed_off(float value, const Rule& rule) {
  const double from = std::min(static_cast<double>(value), rule.max_scale);
  const auto smaller = static_cast<float>(from * rule.backoff_factor);
  const auto floor = static_cast<float>(std::min(static_cast<double>(value), rule.min_scale));
  return std::max(smaller, floor);
}

float grown(float value, const Rule& rule) {
  const auto larger = static_cast<float>(static_cast<double>(value) * rule.growth_factor);
  return static_cast<double>(larger) <= rule.max_scale ? larger : value;
}

}  // namespace

Scale next_scale(Scale scale, const Rule& rule, bool found_inf) {
  if (found_inf) {
    scale.growth_tracker = 0;
    if (scale.consecutive_skips < std::numeric_limits<std::int64_t>::max())
      ++scale.consecutive_skips;
    scale.hysteresis_left = std::max<std::int64_t>(scale.hysteresis_left - 1, 0);
    if (scale.hysteresis_left == 0) scale.value = backed_off(scale.value, rule);
    return scale;
  }
  scale.consecutive_skips = 0;
  scale.hysteresis_left = rule.hysteresis;
  if (scale.growth_tracker < rule.growth_interval - 1) {
    ++scale.growth_tracker;
  } else {
    scale.value = grown(scale.value, rule);
    scale.growth_tracker = 0;
  }
  return scale;
}

}  // namespace amp::scaling
