// What an optimizer keeps of a parameter.
#include "src/optim/parameter_state.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include "amp/error.h"
#include "src/optim/low_precision.h"

namespace amp::optim {
namespace {

c10::ScalarType moment_dtype(const at::Tensor& parameter, const MemoryOptions& memory) {
  return memory.bf16_moments ? c10::kBFloat16 : arithmetic_dtype(parameter);
}

template <typename State, typename Visitor>
void visit_tensors(State& state, Visitor&& visitor) {
  visitor("first", state.first);
  visitor("second", state.second);
  visitor("largest", state.largest);
  visitor("master", state.master);
  visitor("extra", state.extra);
}

}  // namespace

Counters ParameterState::current_counters() const {
  if (!device_counters.defined()) return counters;
  const auto on_host = device_counters.cpu();
  return {on_host[0].item<std::int64_t>(), on_host[1].item<std::int64_t>()};
}

void ParameterState::serialize(OutputArchive& archive) const {
  const auto now = current_counters();
  archive.write("steps", c10::IValue(now.steps));
  archive.write("momentum_steps", c10::IValue(now.momentum_steps));
  visit_tensors(*this, [&](const char* name, const at::Tensor& tensor) {
    if (tensor.defined()) archive.write(name, tensor, /*is_buffer=*/true);
  });
}

void ParameterState::serialize(InputArchive& archive) {
  read(archive, "steps", counters.steps);
  read(archive, "momentum_steps", counters.momentum_steps);
  visit_tensors(
      *this, [&](const char* name, at::Tensor& tensor) { tensor = read_if_there(archive, name); });
}

c10::ScalarType arithmetic_dtype(const at::Tensor& parameter) {
  return parameter.scalar_type() == c10::kDouble ? c10::kDouble : c10::kFloat;
}

at::Tensor in_order_of(const at::Tensor& parameter, const at::Tensor& values,
                       c10::ScalarType dtype) {
  const auto like = parameter.detach();
  return at::empty_like(like, like.options().dtype(dtype)).copy_(values);
}

std::unique_ptr<ParameterState> first_state(const at::Tensor& parameter,
                                            const MemoryOptions& memory) {
  auto state = std::make_unique<ParameterState>();
  const auto dtype = parameter.scalar_type();
  state->version = version_of(parameter);
  if (!is_low_precision(dtype)) return state;
  const auto like = parameter.detach();
  switch (memory.weights) {
    case LowPrecisionWeights::master:
      state->master = like.to(c10::kFloat);
      break;
    case LowPrecisionWeights::split:
      state->extra = at::zeros_like(like, like.options().dtype(c10::kShort));
      break;
    case LowPrecisionWeights::kahan:
      state->extra = at::zeros_like(like);
      break;
    case LowPrecisionWeights::stochastic:
    case LowPrecisionWeights::nearest:
      break;
  }
  return state;
}

void add_buffers(ParameterState& state, const at::Tensor& parameter, const Buffers& buffers,
                 const MemoryOptions& memory) {
  const auto add = [&](at::Tensor& buffer, bool wanted) {
    if (!wanted || buffer.defined()) return;
    const auto like = parameter.detach();
    buffer = at::zeros_like(like, like.options().dtype(moment_dtype(parameter, memory)));
  };
  add(state.first, buffers.first);
  add(state.second, buffers.second);
  add(state.largest, buffers.largest);
}

bool fits(const ParameterState& state, const at::Tensor& parameter, const MemoryOptions& memory) {
  const auto expected = first_state(parameter, memory);
  add_buffers(*expected, parameter, {true, true, true}, memory);
  const auto alike = [](const at::Tensor& given, const at::Tensor& wanted) {
    return given.scalar_type() == wanted.scalar_type() && given.sizes() == wanted.sizes();
  };
  const auto buffer_fits = [&](const at::Tensor& given, const at::Tensor& wanted) {
    return !given.defined() || alike(given, wanted);
  };
  const auto weight_fits = [&](const at::Tensor& given, const at::Tensor& wanted) {
    return given.defined() == wanted.defined() && (!given.defined() || alike(given, wanted));
  };
  return state.counters.steps >= 0 && state.counters.momentum_steps >= 0 &&
         state.counters.momentum_steps <= state.counters.steps &&
         buffer_fits(state.first, expected->first) && buffer_fits(state.second, expected->second) &&
         buffer_fits(state.largest, expected->largest) &&
         weight_fits(state.master, expected->master) && weight_fits(state.extra, expected->extra);
}

void move_to(ParameterState& state, const at::Tensor& parameter) {
  visit_tensors(state, [&](const char*, at::Tensor& tensor) {
    if (tensor.defined()) tensor = in_order_of(parameter, tensor, tensor.scalar_type());
  });
}

bool adapt(ParameterState& state, const at::Tensor& parameter, const MemoryOptions& memory) {
  auto made = first_state(parameter, memory);
  bool same_shape = true;
  const auto convert = [&](at::Tensor& buffer) {
    if (!buffer.defined()) return;
    same_shape = same_shape && buffer.sizes() == parameter.sizes();
    buffer = buffer.to(moment_dtype(parameter, memory));
  };
  convert(state.first);
  convert(state.second);
  convert(state.largest);
  if (!same_shape) return false;
  if (!fits(state, parameter, memory)) {
    state.master = made->master;
    state.extra = made->extra;
  }
  move_to(state, parameter);
  return true;
}

}  // namespace amp::optim
