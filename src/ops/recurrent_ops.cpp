// LibTorch's recurrent networks and cells, computed on the CPU.
#include "src/ops/recurrent_ops.h"

#include <ATen/ops/linear.h>

#include <algorithm>
#include <vector>

#include "src/ops/recurrent.h"
#include "src/ops/recurrent_cells.h"

namespace amp::ops {
namespace {

using at::Tensor;
using at::TensorList;

// [time, batch, size], or batch first; nothing of an input in other dims.
std::vector<std::int64_t> padded_sizes(const Tensor& input, bool batch_first) {
  if (input.dim() != 3) return {};
  const auto steps = input.size(batch_first ? 1 : 0);
  return std::vector(static_cast<std::size_t>(steps), input.size(batch_first ? 0 : 1));
}

// As one packed batch.
Sequences packed(const Tensor& input, TensorList states, bool batch_first) {
  const auto by_time = batch_first ? input.transpose(0, 1) : input;
  return {by_time.reshape({-1, input.size(2)}), padded_sizes(input, batch_first), states.vec()};
}

Sequences packed(const Tensor& input, TensorList states, const Tensor& batch_sizes) {
  if (!batch_sizes.defined() || batch_sizes.scalar_type() != at::kLong || !batch_sizes.is_cpu() ||
      batch_sizes.dim() != 1 || input.dim() != 2)
    return {input, {}, states.vec()};
  const auto sizes = batch_sizes.contiguous();
  const auto* const first = sizes.const_data_ptr<std::int64_t>();
  return {input, {first, first + sizes.numel()}, states.vec()};
}

Sequences run_low(const Casts& to_low, Sequences given, TensorList weights, const Network& how) {
  given.input = to_low(given.input);
  return network(given, to_low.list(weights), how);
}

// A matrix of what a step multiplies, and of which sizes.
bool is_taken(const Tensor& tensor, std::int64_t rows, std::int64_t columns) {
  return tensor.is_cpu() && tensor.is_floating_point() && tensor.scalar_type() != at::kDouble &&
         tensor.dim() == 2 && tensor.size(0) == rows && tensor.size(1) == columns;
}

bool is_taken(const MaybeTensor& bias, std::int64_t size) {
  return !bias.has_value() || !bias->defined() ||
         (bias->is_cpu() && bias->is_floating_point() && bias->scalar_type() != at::kDouble &&
          bias->dim() == 1 && bias->size(0) == size);
}

bool takes_step(std::int64_t gates, const Tensor& input, TensorList states, const Tensor& w_ih,
                const Tensor& w_hh, const MaybeTensor& b_ih, const MaybeTensor& b_hh) {
  if (input.dim() != 2 || states.empty() || states[0].dim() != 2) return false;
  const auto batch = input.size(0), hidden = states[0].size(1);
  const auto fits = [&](const Tensor& state) { return is_taken(state, batch, hidden); };
  return is_taken(input, batch, input.size(1)) && std::ranges::all_of(states, fits) &&
         is_taken(w_ih, gates * hidden, input.size(1)) && is_taken(w_hh, gates * hidden, hidden) &&
         is_taken(b_ih, gates * hidden) && is_taken(b_hh, gates * hidden);
}

State step(CellKind kind, const Casts& to_low, const Tensor& input, const State& before,
           const Tensor& w_ih, const Tensor& w_hh, const MaybeTensor& b_ih,
           const MaybeTensor& b_hh) {
  const auto operand = [&](const Tensor& tensor) { return to_multiply(to_low(tensor)); };
  const auto bias = [&](const MaybeTensor& tensor) {
    return tensor.has_value() && tensor->defined() ? operand(*tensor) : Tensor();
  };
  const Weights weights = {{}, operand(w_hh), {}, bias(b_hh), {}};
  const auto of_input = at::linear(operand(input), operand(w_ih), bias(b_ih)).to(at::kFloat);
  return next_state(kind, of_input, weights, before);
}

constexpr std::int64_t gates_of(CellKind kind) { return kind == CellKind::gru ? 3 : 1; }

}  // namespace

template <CellKind cell>
bool PaddedNetwork<cell>::takes(const Tensor& input, const Tensor& state, TensorList weights,
                                bool has_biases, std::int64_t layers, double dropout, bool train,
                                bool bidirectional, bool batch_first) {
  return takes_network({input, padded_sizes(input, batch_first), {state}}, weights,
                       {cell, has_biases, layers, dropout, train, bidirectional});
}

template <CellKind cell>
WithLastState PaddedNetwork<cell>::run(const Casts& to_low, const Tensor& input,
                                       const Tensor& state, TensorList weights, bool has_biases,
                                       std::int64_t layers, double dropout, bool train,
                                       bool bidirectional, bool batch_first) {
  const auto given = packed(to_low(input), state, batch_first);
  const auto results =
      run_low(to_low, given, weights, {cell, has_biases, layers, dropout, train, bidirectional});
  const auto steps = static_cast<std::int64_t>(given.batch_sizes.size());
  const auto output = results.input.view({steps, given.batch_sizes[0], -1});
  return {batch_first ? output.transpose(0, 1) : output, results.states[0]};
}

template <CellKind cell>
bool PackedNetwork<cell>::takes(const Tensor& input, const Tensor& batch_sizes, const Tensor& state,
                                TensorList weights, bool has_biases, std::int64_t layers,
                                double dropout, bool train, bool bidirectional) {
  return takes_network(packed(input, state, batch_sizes), weights,
                       {cell, has_biases, layers, dropout, train, bidirectional});
}

template <CellKind cell>
WithLastState PackedNetwork<cell>::run(const Casts& to_low, const Tensor& input,
                                       const Tensor& batch_sizes, const Tensor& state,
                                       TensorList weights, bool has_biases, std::int64_t layers,
                                       double dropout, bool train, bool bidirectional) {
  const auto results = run_low(to_low, packed(input, state, batch_sizes), weights,
                               {cell, has_biases, layers, dropout, train, bidirectional});
  return {results.input, results.states[0]};
}

bool PackedLstm::takes(const Tensor& input, const Tensor& batch_sizes, TensorList states,
                       TensorList weights, bool has_biases, std::int64_t layers, double dropout,
                       bool train, bool bidirectional) {
  return takes_network(packed(input, states, batch_sizes), weights,
                       {CellKind::lstm, has_biases, layers, dropout, train, bidirectional});
}

WithLastStates PackedLstm::run(const Casts& to_low, const Tensor& input, const Tensor& batch_sizes,
                               TensorList states, TensorList weights, bool has_biases,
                               std::int64_t layers, double dropout, bool train,
                               bool bidirectional) {
  const auto results = run_low(to_low, packed(input, states, batch_sizes), weights,
                               {CellKind::lstm, has_biases, layers, dropout, train, bidirectional});
  return {results.input, results.states[0], results.states[1]};
}

template <CellKind cell>
bool OneStep<cell>::takes(const Tensor& input, const Tensor& state, const Tensor& w_ih,
                          const Tensor& w_hh, const MaybeTensor& b_ih, const MaybeTensor& b_hh) {
  return takes_step(gates_of(cell), input, state, w_ih, w_hh, b_ih, b_hh);
}

template <CellKind cell>
Tensor OneStep<cell>::run(const Casts& to_low, const Tensor& input, const Tensor& state,
                          const Tensor& w_ih, const Tensor& w_hh, const MaybeTensor& b_ih,
                          const MaybeTensor& b_hh) {
  return step(cell, to_low, input, {state, {}}, w_ih, w_hh, b_ih, b_hh).h;
}

bool OneLstmStep::takes(const Tensor& input, TensorList states, const Tensor& w_ih,
                        const Tensor& w_hh, const MaybeTensor& b_ih, const MaybeTensor& b_hh) {
  return states.size() == 2 && takes_step(4, input, states, w_ih, w_hh, b_ih, b_hh);
}

std::tuple<Tensor, Tensor> OneLstmStep::run(const Casts& to_low, const Tensor& input,
                                            TensorList states, const Tensor& w_ih,
                                            const Tensor& w_hh, const MaybeTensor& b_ih,
                                            const MaybeTensor& b_hh) {
  const auto next =
      step(CellKind::lstm, to_low, input, {states[0], states[1]}, w_ih, w_hh, b_ih, b_hh);
  return {next.h, next.c};
}

template struct PaddedNetwork<CellKind::gru>;
template struct PaddedNetwork<CellKind::tanh>;
template struct PaddedNetwork<CellKind::relu>;
template struct PackedNetwork<CellKind::gru>;
template struct PackedNetwork<CellKind::tanh>;
template struct PackedNetwork<CellKind::relu>;
template struct OneStep<CellKind::gru>;
template struct OneStep<CellKind::tanh>;
template struct OneStep<CellKind::relu>;

}  // namespace amp::ops
