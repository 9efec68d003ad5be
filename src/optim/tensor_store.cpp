// Storing what an update has computed by ATen.
#include "src/optim/tensor_store.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/where.h>

#include <limits>

#include "src/optim/low_precision.h"
#include "src/optim/random_rounding.h"

namespace amp::optim {
namespace {

// The fp32 value that the two halves of a split weight stand for.
void write_split(const Writer& write, const at::Tensor& low, const at::Tensor& extra,
                 const at::Tensor& value) {
  const auto quiet = at::where(value.isnan(), std::numeric_limits<float>::quiet_NaN(), value);
  const auto bits = quiet.to(c10::kFloat).view(c10::kInt);
  const auto upper = (bits.to(c10::kLong) + 0x8000).bitwise_right_shift(16);
  write(extra, (bits.to(c10::kLong) - upper.bitwise_left_shift(16)).to(c10::kShort));
  write(low, upper.to(c10::kShort).view(c10::kBFloat16));
}

void write_kahan(const Writer& write, const at::Tensor& low, const at::Tensor& extra,
                 const at::Tensor& value) {
  const auto rounded = value.to(low.scalar_type());
  const auto lost = value - rounded.to(c10::kFloat);
  write(extra, at::where(rounded.isfinite(), lost, 0.0));
  write(low, rounded);
}

}  // namespace

at::Tensor RandomRounding::operator()(const at::Tensor& value, c10::ScalarType dtype,
                                      kernels::Stream stream) const {
  const auto ordered = in_order_of(parameter, value, c10::kFloat);
  return round_at_random(ordered, dtype, noise, step, stream);
}

void Writer::operator()(const at::Tensor& target, const at::Tensor& value) const {
  if (!target.defined()) return;
  target.copy_(skip_.defined() ? at::where(skip_, target, value.to(target.scalar_type())) : value);
}

void write_weight(const Writer& write, const at::Tensor& parameter, const ParameterState& state,
                  LowPrecisionWeights form, const at::Tensor& value, const RandomRounding& round) {
  const auto dtype = parameter.scalar_type();
  if (!is_low_precision(dtype)) form = LowPrecisionWeights::nearest;
  switch (form) {
    case LowPrecisionWeights::master:
      write(state.master, value);
      write(parameter, state.master);
      break;
    case LowPrecisionWeights::split:
      write_split(write, parameter, state.extra, value);
      break;
    case LowPrecisionWeights::kahan:
      write_kahan(write, parameter, state.extra, value);
      break;
    case LowPrecisionWeights::stochastic:
      write(parameter, round(value, dtype, kernels::Stream::weights));
      break;
    case LowPrecisionWeights::nearest:
      write(parameter, value);
  }
}

}  // namespace amp::optim
