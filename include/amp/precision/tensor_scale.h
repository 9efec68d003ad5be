// TensorScale: the scale that moves a tensor's values into an fp8 format's small range.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "amp/export.h"
#include "amp/precision/format.h"

namespace amp {

enum class Scaling : std::uint8_t {
  current,  // from the tensor itself: nothing saturates, but the tensor is read twice
  delayed,  // from the tensors before it: one pass, and what has grown since saturates
};
enum class AmaxChoice : std::uint8_t { max, most_recent };

struct TensorScaleOptions {
  Format format = Format::e4m3;
  Scaling scaling = Scaling::current;
  // The largest value lands on max_finite / 2^margin.
  int margin = 0;
  // Of delayed scaling: how many amaxes are remembered, and which of them counts.
  std::int64_t history_length = 1024;
  AmaxChoice amax = AmaxChoice::max;
  // Rounds the scale down to a power of two: then scaling itself rounds nothing.
  bool power_of_two = false;
};

// What a checkpoint keeps; a value.
struct TensorScaleState {
  double scale = 1.0;
  std::vector<double> amax_history =
      {};  // newest first, of delayed scaling; at most history_length
  bool operator==(const TensorScaleState& other) const = default;
};

// What encode makes of a tensor. decode(codes, scale) gives the tensor back, as far as the format
// holds it.
struct ScaledCodes {
  at::Tensor codes;
  double scale;
};

// The scale of one tensor over the steps of a training: scale = max_finite / amax / 2^margin, where
// amax is the largest |x| of this tensor (current) or of those before it (delayed).
//
//   amp::TensorScale scale({.format = amp::Format::e4m3, .scaling = amp::Scaling::delayed});
//   auto x8 = scale.quantize(x);  // with the scale so far; then x's amax enters the history
//
// Inf and NaN are left out of an amax, so that one of them does not spoil the scale of a tensor or
// of the steps after it. (Transformer Engine keeps the old scale when the amax is not finite.) An
// amax of 0 leaves the scale as it is in delayed scaling and makes it 1 in current scaling. The
// scale is an fp32 number from 2^-126 to 2^126, so its inverse is one, too. amax times the scale
// does not exceed what the formula says.
// Source: NVIDIA Transformer Engine, common.recipe.DelayedScaling and Float8CurrentScaling.
class AMP_API TensorScale {
 public:
  // Throws InvalidArgument for a format that is not fp8, history_length < 1, and a margin outside
  // [-64, 64].
  explicit TensorScale(TensorScaleOptions options = {});

  double scale() const { return state_.scale; }
  const TensorScaleOptions& options() const { return options_; }

  // amp::quantize and amp::encode, saturating, with the scale. Current scaling updates the scale
  // from x before, delayed scaling after. Both take what amp::quantize takes and throw what it
  // throws.
  at::Tensor quantize(const at::Tensor& x);
  ScaledCodes encode(const at::Tensor& x);

  // Takes an amax that was found elsewhere (over all ranks, for example). Throws InvalidArgument
  // unless it is finite and not negative.
  void update(double amax);

  TensorScaleState state_dict() const { return state_; }
  // Throws InvalidArgument, and changes nothing, for a scale or an amax that is negative or not
  // finite, a scale outside 2^-126 to 2^126, and a history longer than history_length or that of current scaling.
  void load_state_dict(const TensorScaleState& state);

 private:
  TensorScaleOptions options_;
  TensorScaleState state_;
};

}  // namespace amp
