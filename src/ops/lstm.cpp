// LSTM layers in low precision that keep nothing but their inputs and outputs.
#include "src/ops/lstm.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <vector>

#include "src/autocast/cast_cache.h"
#include "src/ops/lstm_layer.h"

namespace amp::ops {

using at::Tensor;
using autocast::is_plain;

bool takes_lstm(const Tensor& input, at::TensorList states, at::TensorList weights,
                const Lstm& options) {
  if (input.dim() != 3 || input.numel() == 0 || states.size() != 2 || options.layers < 1)
    return false;
  const bool projects = states[0].dim() == 3 && states[0].size(-1) != states[1].size(-1);
  const auto count = 2 + (options.has_biases ? 2 : 0) + (projects ? 1 : 0);
  const auto runs = options.layers * (options.bidirectional ? 2 : 1);
  if (static_cast<std::int64_t>(weights.size()) != runs * count) return false;
  const auto batch = input.size(options.batch_first ? 0 : 1);
  const auto fits = [&](const Tensor& state) {
    return state.dim() == 3 && state.size(0) == runs && state.size(1) == batch;
  };
  const auto plain = [](const Tensor& tensor) {
    return tensor.is_cpu() && is_plain(tensor) && tensor.is_floating_point() &&
           tensor.scalar_type() != at::kDouble;
  };
  return plain(input) && std::ranges::all_of(states, fits) && std::ranges::all_of(states, plain) &&
         std::ranges::all_of(weights, plain) && weights[0].dim() == 2 &&
         weights[0].size(1) == input.size(2);
}

std::tuple<Tensor, Tensor, Tensor> lstm(const Tensor& input, at::TensorList states,
                                        at::TensorList weights, const Lstm& options) {
  const std::int64_t directions = options.bidirectional ? 2 : 1;
  const std::int64_t time_dim = options.batch_first ? 1 : 0;
  const auto count = weights.size() / static_cast<std::size_t>(options.layers * directions);
  std::vector<Tensor> last_outputs, last_cells;
  auto x = input;
  for (std::int64_t layer = 0; layer < options.layers; ++layer) {
    std::vector<Tensor> outputs;
    for (std::int64_t direction = 0; direction < directions; ++direction) {
      const auto run = layer * directions + direction;
      const auto of_run = weights.slice(static_cast<std::size_t>(run) * count, count);
      const bool reverse = direction == 1;
      auto [output, h, c] =
          lstm_layer(reverse ? x.flip(time_dim) : x, states[0].select(0, run),
                     states[1].select(0, run), of_run, options.has_biases, time_dim);
      outputs.push_back(reverse ? output.flip(time_dim) : output);
      last_outputs.push_back(h);
      last_cells.push_back(c);
    }
    x = directions == 1 ? outputs[0] : at::cat(outputs, 2);
    const bool drops = options.dropout > 0 && options.train && layer + 1 < options.layers;
    if (drops) x = at::dropout(x, options.dropout, true);
  }
  return {x, at::stack(last_outputs), at::stack(last_cells)};
}

}  // namespace amp::ops

namespace amp::autocast {

CastRule OwnKernel<at::_ops::lstm_input>::rule(CastRule rule, c10::DeviceType device, const Region*,
                                               const at::Tensor& input, at::TensorList states,
                                               at::TensorList weights, bool has_biases,
                                               std::int64_t layers, double dropout, bool train,
                                               bool bidirectional, bool batch_first) {
  if (rule != CastRule::lower_precision) return rule;
  const ops::Lstm how = {has_biases, layers, dropout, train, bidirectional, batch_first};
  const bool computes =
      device == c10::DeviceType::CPU && ops::takes_lstm(input, states, weights, how);
  return computes ? rule : CastRule::keep;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> OwnKernel<at::_ops::lstm_input>::run(
    const Casts& to_low, const at::Tensor& input, at::TensorList states, at::TensorList weights,
    bool has_biases, std::int64_t layers, double dropout, bool train, bool bidirectional,
    bool batch_first) {
  return ops::lstm(to_low(input), to_low.list(states), to_low.list(weights),
                   {has_biases, layers, dropout, train, bidirectional, batch_first});
}

}  // namespace amp::autocast
