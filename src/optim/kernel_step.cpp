// The passes of a step over the parameters that the kernels take.
#include "src/optim/kernel_step.h"

#include "src/optim/low_precision.h"
#include "src/optim/unscaled_range.h"

namespace amp::optim {

void KernelStep::cut(const std::vector<Entry>& entries) {
  chunks_.clear();
  operands_.clear();
  for (const auto& entry : entries) {
    if (!entry.by_kernels) continue;
    tensor_lists::Operands operands;
    operands.gradient.scaled = tensor_lists::read(entry.read);
    operands.gradient.unscaled = tensor_lists::write(entry.unscaled);
    operands_.push_back(operands);
    chunks_.add(static_cast<std::size_t>(entry.read.numel()));
  }
}

kernels::Examined KernelStep::examine(const std::vector<Entry>& entries, float inv_scale,
                                      bool go_back) {
  cut(entries);
  in_bf16_.clear();
  for (const auto& entry : entries) {
    if (entry.by_kernels)
      in_bf16_.push_back(is_stored_in_bf16(entry, go_back) &&
                         entry.read.scalar_type() == c10::kBFloat16);
  }
  examined_.resize(chunks_.size());
  const auto& table = kernels::table();
  chunks_.run([&](std::size_t i) {
    const auto& chunk = chunks_[i];
    const auto operands = operands_[chunk.tensor].from(chunk.first);
    const auto& scaled = operands.gradient.scaled;
    examined_[i] = table.examine(scaled, chunk.count, inv_scale);
    if (in_bf16_[chunk.tensor])
      examined_[i].non_finite |= overflows_bf16(scaled, chunk.count, inv_scale);
  });
  kernels::Examined all;
  for (const auto& one : examined_) {
    all.sum_of_squares += one.sum_of_squares;
    all.non_finite |= one.non_finite;
  }
  return all;
}

void KernelStep::add_non_finite(const std::vector<Entry>& entries,
                                std::vector<at::Tensor>& parameters) const {
  std::size_t tensor = 0, chunk = 0;  // both lists are in the order of the entries
  for (const auto& entry : entries) {
    if (!entry.by_kernels) continue;
    bool found = false;
    for (; chunk < chunks_.size() && chunks_[chunk].tensor == tensor; ++chunk)
      found |= examined_[chunk].non_finite;
    if (found) parameters.push_back(entry.slot->parameter);
    ++tensor;
  }
}

void KernelStep::unscale(const std::vector<Entry>& entries, float inv_scale) {
  cut(entries);
  const auto& table = kernels::table();
  chunks_.run([&](std::size_t i) {
    const auto& chunk = chunks_[i];
    const auto [scaled, factor, clip, unscaled] =
        operands_[chunk.tensor].from(chunk.first).gradient;
    if (unscaled.data == nullptr) return;
    if (unscaled.data != scaled.data) table.convert(scaled, unscaled, chunk.count);
    if (inv_scale != 1) table.scale(unscaled, chunk.count, inv_scale);
  });
}

void KernelStep::begin(Algorithm& algorithm, float inv_scale, float clip) {
  operands_.clear();
  chunks_.clear();
  algorithm.clear();
  inv_scale_ = inv_scale;
  clip_ = clip;
}

void KernelStep::add(Algorithm& algorithm, const OptimizerOptions& options, const Entry& entry,
                     const at::Tensor& copy) {
  const auto& parameter = entry.slot->parameter;
  const auto* state = entry.slot->state;
  const auto& memory = algorithm.memory(options);
  tensor_lists::Operands operands;
  operands.count = static_cast<std::size_t>(parameter.numel());
  operands.gradient = {tensor_lists::read(entry.read), inv_scale_, clip_, {nullptr, {}}};
  // A gradient that is multiplied by 1 need not be written.
  const bool changed = inv_scale_ != 1 || clip_ != 1 || !entry.unscaled.is_same(entry.read);
  if (changed) operands.gradient.unscaled = tensor_lists::write(entry.unscaled);
  operands.weights = weights_of(parameter, *state, memory, copy);
  const auto buffers = algorithm.buffers(options);
  if (buffers.first) operands.first = tensor_lists::write(state->first);
  if (buffers.second) operands.second = tensor_lists::write(state->second);
  if (buffers.largest) operands.largest = tensor_lists::write(state->largest);
  operands.noise.seed = memory.seed;
  operands.noise.step = static_cast<std::uint32_t>(state->counters.steps);
  operands.noise.parameter = entry.slot->number;
  operands_.push_back(operands);
  chunks_.add(operands.count);
  algorithm.add(options, state->counters);
}

}  // namespace amp::optim
