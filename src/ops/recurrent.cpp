// GRU, RNN and packed LSTM networks in low precision, whose states and gates are fp32.
#include "src/ops/recurrent.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "src/autocast/cast_cache.h"

namespace amp::ops {
namespace {

using at::Tensor;
using autocast::is_plain;

bool is_taken(const Tensor& tensor) {
  return tensor.defined() && tensor.is_cpu() && is_plain(tensor) && tensor.is_floating_point() &&
         tensor.scalar_type() != at::kDouble;
}

// Whether the batch has a step at least, never grows, and fits the input's rows, which takes_network may get
// in two dimensions.
bool are_packed(const Sequences& given) {
  const auto& sizes = given.batch_sizes;
  return !sizes.empty() && sizes.back() > 0 && std::ranges::is_sorted(sizes, std::greater()) &&
         std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}) * given.input.size(-1) ==
             given.input.numel();
}

// Whether layer after layer the weights have the sizes that what they multiply asks for.
bool fit(at::TensorList weights, std::size_t per_run, const Sequences& given,
         const Network& network) {
  const std::int64_t directions = network.bidirectional ? 2 : 1;
  const std::int64_t gates = network.cell == CellKind::lstm  ? 4
                             : network.cell == CellKind::gru ? 3
                                                             : 1;
  const auto output = given.states[0].size(2), hidden = given.states.back().size(2);
  for (std::size_t run = 0; run * per_run < weights.size(); ++run) {
    const auto size =
        static_cast<std::int64_t>(run) < directions ? given.input.size(-1) : output * directions;
    const auto* const of_run = &weights[run * per_run];
    if (of_run[0].sizes() != at::IntArrayRef({gates * hidden, size}) ||
        of_run[1].sizes() != at::IntArrayRef({gates * hidden, output}))
      return false;
  }
  return true;
}

}  // namespace

bool takes_network(const Sequences& given, at::TensorList weights, const Network& network) {
  const bool is_lstm = network.cell == CellKind::lstm;
  if (!is_taken(given.input) || given.input.dim() < 2 || given.input.numel() == 0 ||
      !are_packed(given) || network.layers < 1 || given.states.size() != (is_lstm ? 2 : 1))
    return false;
  const std::int64_t runs = network.layers * (network.bidirectional ? 2 : 1);
  const auto fits_batch = [&](const Tensor& state) {
    return is_taken(state) && state.dim() == 3 && state.size(0) == runs &&
           state.size(1) == given.batch_sizes[0];
  };
  if (!std::ranges::all_of(given.states, fits_batch) || !std::ranges::all_of(weights, is_taken))
    return false;
  const bool projects = given.states[0].size(2) != given.states.back().size(2);
  const std::size_t per_run = 2U + (network.has_biases ? 2U : 0U) + (projects ? 1U : 0U);
  return weights.size() == static_cast<std::size_t>(runs) * per_run &&
         fit(weights, per_run, given, network);
}

Sequences network(const Sequences& given, at::TensorList weights, const Network& network) {
  const std::int64_t directions = network.bidirectional ? 2 : 1;
  const auto per_run = weights.size() / static_cast<std::size_t>(network.layers * directions);
  std::vector<std::vector<Tensor>> last(given.states.size());
  auto x = given.input;
  for (std::int64_t layer = 0; layer < network.layers; ++layer) {
    std::vector<Tensor> outputs;
    for (std::int64_t direction = 0; direction < directions; ++direction) {
      const auto run = layer * directions + direction;
      const auto first = [&](std::size_t i) {
        return i < given.states.size() ? given.states[i].select(0, run) : Tensor();
      };
      const auto results = recurrent_layer(
          x, first(0), first(1), weights.slice(static_cast<std::size_t>(run) * per_run, per_run),
          {network.cell, network.has_biases, /*reverse=*/direction == 1, given.batch_sizes});
      outputs.push_back(results.output);
      last[0].push_back(results.h);
      if (last.size() > 1) last[1].push_back(results.c);
    }
    x = directions == 1 ? outputs[0] : at::cat(outputs, 1);
    const bool drops = network.dropout > 0 && network.train && layer + 1 < network.layers;
    if (drops) x = at::dropout(x, network.dropout, true);
  }
  Sequences results = {x, given.batch_sizes, {}};
  for (const auto& states : last) results.states.push_back(at::stack(states));
  return results;
}

}  // namespace amp::ops
