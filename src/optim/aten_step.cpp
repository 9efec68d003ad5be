// The passes of a step by ATen.
#include "src/optim/aten_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include "src/optim/gradients.h"
#include "src/optim/low_precision.h"
#include "src/optim/random_rounding.h"

namespace amp::optim {
namespace {

at::Tensor on_device_of(const at::Tensor& value, const at::Tensor& other) {
  return value.to(other.device(), /*non_blocking=*/true);
}

// int64, {steps, momentum_steps}: on the device from now on.
at::Tensor& device_counters(ParameterState& state, const at::Tensor& parameter) {
  if (!state.device_counters.defined()) {
    const auto& [steps, momentum_steps] = state.counters;
    state.device_counters =
        on_device_of(at::tensor({steps, momentum_steps}, c10::kLong), parameter);
  }
  return state.device_counters;
}

// Writes where the flag allows it.
class Writer {
 public:
  explicit Writer(const at::Tensor& skip) : skip_(skip) {}
  void operator()(const at::Tensor& target, const at::Tensor& value) const {
    if (!target.defined()) return;
    target.copy_(skip_.defined() ? at::where(skip_, target, value.to(target.scalar_type()))
                                 : value);
  }

 private:
  const at::Tensor& skip_;
};

// The value in fp32 that a split weight's two halves are to stand for.
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

struct RandomRounding {
  kernels::Noise noise;
  at::Tensor step;
  const at::Tensor& parameter;

  at::Tensor operator()(const at::Tensor& value, c10::ScalarType dtype,
                        kernels::Stream stream) const {
    const auto ordered = at::empty_like(parameter, parameter.options().dtype(c10::kFloat));
    return round_at_random(ordered.copy_(value), dtype, noise, step, stream);
  }
};

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

}  // namespace

void AtenStep::begin(std::vector<Entry>& entries, const at::Tensor& inv_scale) {
  items_.clear();
  for (auto& entry : entries) {
    if (entry.by_kernels) continue;
    const auto& parameter = entry.slot->parameter;
    const auto dtype = arithmetic_dtype(parameter);
    auto gradient = entry.given.detach().to(dtype);
    if (gradient.is_sparse()) gradient = gradient.to_dense();
    if (inv_scale.defined()) gradient = gradient * on_device_of(inv_scale, parameter);
    items_.push_back({&entry, gradient});
  }
}

at::Tensor AtenStep::norm() const {
  std::vector<at::Tensor> norms;
  norms.reserve(items_.size());
  for (const auto& item : items_) {
    // In fp64 the squares of fp32 numbers do not overflow.
    auto norm = at::linalg_vector_norm(item.gradient, 2, {}, false, c10::kDouble);
    norms.push_back(on_device_of(norm, items_[0].gradient));
  }
  return norms.size() == 1 ? norms[0] : at::linalg_vector_norm(at::stack(norms));
}

void AtenStep::add_non_finite(std::vector<at::Tensor>& parameters) const {
  for (const auto& item : items_) {
    if (item.gradient.is_cpu() && !item.gradient.isfinite().all().item<bool>())
      parameters.push_back(item.entry->slot->parameter);
  }
}

void AtenStep::clip(const at::Tensor& factor) {
  for (auto& item : items_) item.gradient = item.gradient * on_device_of(factor, item.gradient);
}

void AtenStep::update(const Algorithm& algorithm, const OptimizerOptions& options, std::size_t item,
                      const at::Tensor& skip) const {
  const auto& [entry, gradient] = items_[item];
  const auto parameter = entry->slot->parameter.detach();
  auto& state = *entry->slot->state;
  const auto& memory = algorithm.memory(options);
  const auto dtype = arithmetic_dtype(parameter);
  const auto widened = [&](const at::Tensor& moment) {
    return moment.defined() ? moment.to(dtype) : moment;
  };
  auto& counters = device_counters(state, parameter);
  const auto next = counters + 1;
  const auto numbers = next.to(c10::kDouble);
  const RandomRounding round{{memory.seed, 0, entry->slot->number, 0}, next[0], parameter};
  const auto stored = [&](const at::Tensor& moment, kernels::Stream stream) {
    return memory.bf16_moments ? round(moment, c10::kBFloat16, stream).to(dtype) : moment;
  };
  TensorOperands now{gradient,
                     value_of(parameter, state, memory),
                     widened(state.first),
                     widened(state.second),
                     widened(state.largest),
                     numbers[0],
                     numbers[1],
                     stored};
  algorithm.update(options, now);

  const auto skip_here = skip.defined() ? on_device_of(skip, parameter) : skip;
  const Writer write(skip_here);
  // Rounding what is rounded already changes nothing.
  if (state.first.defined()) write(state.first, stored(now.first, kernels::Stream::first));
  if (state.second.defined()) write(state.second, stored(now.second, kernels::Stream::second));
  if (state.largest.defined()) write(state.largest, stored(now.largest, kernels::Stream::largest));
  write_weight(write, parameter, state, memory.weights, now.weight, round);
  const std::int64_t counted = algorithm.buffers(options).first ? 2 : 1;
  write(counters.narrow(0, 0, counted), next.narrow(0, 0, counted));
}

void AtenStep::give_back(const at::Tensor& factor) {
  for (auto& item : items_) {
    if (item.entry->give_back) optim::give_back(*item.entry, item.gradient, factor);
  }
}

}  // namespace amp::optim
