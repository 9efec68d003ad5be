// fp16 and bf16 LSTM layers on the CPU, computed in fp32.
#include "src/ops/rnn_layer.h"

#include <c10/core/SymIntArrayRef.h>  // the dispatch headers below want it first

#include <ATen/core/Tensor.h>
#include <ATen/ops/mkldnn_rnn_layer_backward_cpu_dispatch.h>
#include <ATen/ops/mkldnn_rnn_layer_cpu_dispatch.h>
#include <torch/library.h>

#include <optional>
#include <tuple>

#include "src/cpu_math/switches.h"

namespace amp::ops {
namespace {

using at::IntArrayRef;
using at::Tensor;
using cpu_math::widens;
using Maybe = std::optional<Tensor>;

Tensor wide(const Tensor& tensor) {
  return tensor.defined() && tensor.is_floating_point() ? tensor.to(c10::kFloat) : tensor;
}
Maybe wide(const Maybe& tensor) { return tensor.has_value() ? Maybe(wide(*tensor)) : std::nullopt; }

// In the dtype of `like`.
Tensor rounded(const Tensor& tensor, const Tensor& like) {
  return tensor.defined() ? tensor.to(like.scalar_type()) : tensor;
}

// The last result is the workspace of the fp32 run, which the backward pass hands back.
std::tuple<Tensor, Tensor, Tensor, Tensor> layer(
    const Tensor& input, const Tensor& w1, const Tensor& w2, const Tensor& w3, const Tensor& w4,
    const Tensor& hx, const Tensor& cx, bool reverse, IntArrayRef batch_sizes, std::int64_t mode,
    std::int64_t hidden_size, std::int64_t num_layers, bool has_biases, bool bidirectional,
    bool batch_first, bool train) {
  if (!widens(input.scalar_type())) {
    return at::cpu::mkldnn_rnn_layer(input, w1, w2, w3, w4, hx, cx, reverse, batch_sizes, mode,
                                     hidden_size, num_layers, has_biases, bidirectional,
                                     batch_first, train);
  }
  const auto [output, hy, cy, workspace] = at::cpu::mkldnn_rnn_layer(
      wide(input), wide(w1), wide(w2), wide(w3), wide(w4), wide(hx), wide(cx), reverse, batch_sizes,
      mode, hidden_size, num_layers, has_biases, bidirectional, batch_first, train);
  return {rounded(output, input), rounded(hy, input), rounded(cy, input), workspace};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> layer_backward(
    const Tensor& input, const Tensor& w1, const Tensor& w2, const Tensor& w3, const Tensor& w4,
    const Tensor& hx, const Tensor& cx, const Tensor& output, const Tensor& hy, const Tensor& cy,
    const Maybe& grad_output, const Maybe& grad_hy, const Maybe& grad_cy, bool reverse,
    std::int64_t mode, std::int64_t hidden_size, std::int64_t num_layers, bool has_biases,
    bool train, bool bidirectional, IntArrayRef batch_sizes, bool batch_first,
    const Tensor& workspace) {
  if (!widens(input.scalar_type())) {
    return at::cpu::mkldnn_rnn_layer_backward(input, w1, w2, w3, w4, hx, cx, output, hy, cy,
                                              grad_output, grad_hy, grad_cy, reverse, mode,
                                              hidden_size, num_layers, has_biases, train,
                                              bidirectional, batch_sizes, batch_first, workspace);
  }
  const auto gradients = at::cpu::mkldnn_rnn_layer_backward(
      wide(input), wide(w1), wide(w2), wide(w3), wide(w4), wide(hx), wide(cx), wide(output),
      wide(hy), wide(cy), wide(grad_output), wide(grad_hy), wide(grad_cy), reverse, mode,
      hidden_size, num_layers, has_biases, train, bidirectional, batch_sizes, batch_first,
      workspace);
  return std::apply(
      [&](const auto&... gradient) { return std::make_tuple(rounded(gradient, input)...); },
      gradients);
}

}  // namespace

void register_rnn_layer(torch::Library& library) {
  library.impl("mkldnn_rnn_layer", TORCH_FN(layer));
  library.impl("mkldnn_rnn_layer_backward", TORCH_FN(layer_backward));
}

}  // namespace amp::ops
