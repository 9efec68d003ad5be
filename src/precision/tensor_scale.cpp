// TensorScale: from amaxes to a scale.
#include "amp/precision/tensor_scale.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "amp/error.h"
#include "amp/precision.h"
#include "src/precision/grid.h"
#include "src/precision/operand.h"
#include "src/precision/round.h"

namespace amp {
namespace {

void check_options(const TensorScaleOptions& options) {
  if (!precision::is_fp8(options.format)) {
    throw InvalidArgument(std::string("TensorScale: format must be e4m3 or e5m2, got ") +
                          format_name(options.format) + "; the others need no scale");
  }
  if (options.history_length < 1) {
    throw InvalidArgument("TensorScale: history_length must be >= 1, got " +
                          std::to_string(options.history_length));
  }
  if (options.margin < -64 || options.margin > 64) {
    throw InvalidArgument("TensorScale: margin must be from -64 to 64, got " +
                          std::to_string(options.margin));
  }
}

void check_amax(const char* who, double amax) {
  if (amax >= 0 && std::isfinite(amax)) return;
  throw InvalidArgument(std::string(who) + ": an amax must be finite and >= 0, got " +
                        std::to_string(amax) + "; leave Inf and NaN out of it");
}

// The largest magnitude of the tensor lands on max_finite / 2^margin.
double scale_for(double amax, const TensorScaleOptions& options) {
  const double wanted = std::ldexp(format_info(options.format).max_finite / amax, -options.margin);
  auto scale = static_cast<float>(std::clamp(wanted, 0x1p-126, 0x1p126));
  // The scale is a number of fp32, which must not round amax over the edge.
  if (double{scale} > wanted && scale > 0x1p-126f) scale = std::nextafter(scale, 0.0f);
  if (options.power_of_two) scale = std::ldexp(1.0f, std::ilogb(scale));
  return double{scale};
}

kernels::GridRounding rounding_with(const TensorScale& scale) {
  return precision::rounding_of("TensorScale", scale.options().format,
                                {.saturate = true, .scale = scale.scale()});
}

}  // namespace

TensorScale::TensorScale(TensorScaleOptions options) : options_(options) {
  check_options(options_);
}

at::Tensor TensorScale::quantize(const at::Tensor& x) {
  precision::check_operand("TensorScale::quantize", x);
  if (options_.scaling == Scaling::current) update(statistics(x).amax);
  double amax = 0;
  auto result = precision::quantized(x, rounding_with(*this), &amax);
  if (options_.scaling == Scaling::delayed) update(amax);
  return result;
}

ScaledCodes TensorScale::encode(const at::Tensor& x) {
  precision::check_operand("TensorScale::encode", x);
  if (options_.scaling == Scaling::current) update(statistics(x).amax);
  double amax = 0;
  const double used = scale();
  auto codes = precision::encoded(x, options_.format, rounding_with(*this), &amax);
  if (options_.scaling == Scaling::delayed) update(amax);
  return {std::move(codes), used};
}

void TensorScale::update(double amax) {
  check_amax("TensorScale::update", amax);
  if (options_.scaling == Scaling::current) {
    state_.scale = amax == 0 ? 1.0 : scale_for(amax, options_);
    return;
  }
  auto& history = state_.amax_history;
  history.insert(history.begin(), amax);
  if (history.size() > static_cast<std::size_t>(options_.history_length)) history.pop_back();
  const double chosen = options_.amax == AmaxChoice::most_recent
                            ? history.front()
                            : *std::max_element(history.begin(), history.end());
  if (chosen > 0) state_.scale = scale_for(chosen, options_);
}

void TensorScale::load_state_dict(const TensorScaleState& state) {
  precision::check_scale("TensorScale::load_state_dict", state.scale);
  for (const double amax : state.amax_history) check_amax("TensorScale::load_state_dict", amax);
  const auto most = options_.scaling == Scaling::current ? 0 : options_.history_length;
  if (state.amax_history.size() > static_cast<std::size_t>(most)) {
    throw InvalidArgument("TensorScale::load_state_dict: amax_history must have at most " +
                          std::to_string(most) + " entries here, got " +
                          std::to_string(state.amax_history.size()) +
                          "; load it into a scale with the same options");
  }
  state_ = state;
}

}  // namespace amp
