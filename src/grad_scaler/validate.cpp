// What values a GradScaler may take.
#include "src/grad_scaler/validate.h"

#include <cmath>
#include <limits>
#include <sstream>
#include <string>

#include "amp/error.h"

namespace amp::scaling {
namespace {

template <typename Value>
void require(bool holds, const char* name, const char* rule, Value value) {
  if (holds) return;
  std::ostringstream message;
  message << "GradScaler: " << name << " must be " << rule << ", got " << value;
  throw InvalidArgument(message.str());
}

constexpr const char* kUsable = "finite and positive in fp32, and so must its reciprocal be";

void check_rails(const GradScalerOptions& options) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  require(options.min_scale > 0 && options.min_scale <= kLargest, "min_scale",
          "positive and finite in fp32", options.min_scale);
  require(is_usable_scale(options.min_scale), "min_scale", kUsable, options.min_scale);
  require(options.max_scale >= options.min_scale && options.max_scale <= kLargest, "max_scale",
          "at least min_scale and finite in fp32", options.max_scale);
}

void check_scale_within(const char* name, double scale, const GradScalerOptions& rails) {
  require(std::isfinite(scale) && scale > 0, name, "finite and positive", scale);
  std::ostringstream rule;
  rule << "within min_scale and max_scale [" << rails.min_scale << ", " << rails.max_scale << "]";
  require(scale >= rails.min_scale && scale <= rails.max_scale, name, rule.str().c_str(), scale);
  require(is_usable_scale(scale), name, kUsable, scale);
}

}  // namespace

bool is_usable_scale(double scale) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  if (!(scale > 0 && scale <= kLargest)) return false;
  const auto value = static_cast<double>(static_cast<float>(scale));
  return value > 0 && 1 / value <= kLargest;
}

void check_growth_factor(double factor) {
  require(factor > 1 && std::isfinite(factor), "growth_factor", "> 1 and finite", factor);
}

void check_backoff_factor(double factor) {
  require(factor > 0 && factor < 1, "backoff_factor", "between 0 and 1, both excluded", factor);
}

void check_growth_interval(std::int64_t interval) {
  require(interval >= 1, "growth_interval", ">= 1", interval);
}

void check_options(const GradScalerOptions& options) {
  check_growth_factor(options.growth_factor);
  check_backoff_factor(options.backoff_factor);
  check_growth_interval(options.growth_interval);
  require(options.hysteresis >= 1, "hysteresis", ">= 1", options.hysteresis);
  require(options.max_consecutive_skips >= 0, "max_consecutive_skips", ">= 0",
          options.max_consecutive_skips);
  check_rails(options);
  check_scale_within("init_scale", options.init_scale, options);
}

void check_new_scale(double scale, const GradScalerOptions& rails) {
  check_scale_within("new_scale", scale, rails);
}

void check_state(const GradScalerState& state) {
  if (!is_usable_scale(state.scale)) {
    std::ostringstream message;
    message << "GradScaler: the state's scale must be "
            << (state.scale >= 0 ? kUsable : "a number >= 0") << ", got " << state.scale
            << "; every step would be skipped with it: set it to one that works, 65536 for one, or "
               "load another state";
    throw InvalidArgument(message.str());
  }
  check_growth_factor(state.growth_factor);
  check_backoff_factor(state.backoff_factor);
  check_growth_interval(state.growth_interval);
  require(state.growth_tracker >= 0, "the state's growth_tracker", ">= 0", state.growth_tracker);
  require(state.hysteresis_left >= 0, "the state's hysteresis_left", ">= 0", state.hysteresis_left);
  require(state.consecutive_skips >= 0, "the state's consecutive_skips", ">= 0",
          state.consecutive_skips);
}

}  // namespace amp::scaling
