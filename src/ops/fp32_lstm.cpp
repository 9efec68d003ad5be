// One layer of an LSTM in fp32 on oneDNN.
#include "src/ops/fp32_lstm.h"

#include <c10/core/SymIntArrayRef.h>  // the dispatch headers below want it first

#include <ATen/ops/mkldnn_rnn_layer_backward_cpu_dispatch.h>
#include <ATen/ops/mkldnn_rnn_layer_cpu_dispatch.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <tuple>

namespace amp::ops {
namespace {

constexpr std::int64_t kLstm = 2;  // oneDNN's kind of cell, as LibTorch numbers them

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> run(const LstmLayer& layer, bool train) {
  // LibTorch keeps the workspace while GradMode is on; below autograd nothing is recorded.
  const c10::AutoGradMode keeps(train);
  return at::cpu::mkldnn_rnn_layer(layer.x, layer.w_ih, layer.w_hh, layer.b_ih, layer.b_hh,
                                   layer.h0, layer.c0, /*reverse=*/false, /*batch_sizes=*/{}, kLstm,
                                   layer.h0.size(1), /*num_layers=*/1, /*has_biases=*/true,
                                   /*bidirectional=*/false, /*batch_first=*/false, train);
}

at::Tensor or_zeros(const at::Tensor& gradient, const at::Tensor& like) {
  return gradient.defined() ? gradient.to(at::kFloat).contiguous() : at::zeros_like(like);
}

}  // namespace

LstmResults fp32_lstm_layer(const LstmLayer& layer) {
  const auto [output, h, c, workspace] = run(layer, /*train=*/false);
  return {output, h.view(layer.h0.sizes()), c.view(layer.c0.sizes())};
}

LstmGradients fp32_lstm_layer_backward(const LstmLayer& layer, const LstmResults& gradients) {
  const auto [output, h, c, workspace] = run(layer, /*train=*/true);
  const auto found = at::cpu::mkldnn_rnn_layer_backward(
      layer.x, layer.w_ih, layer.w_hh, layer.b_ih, layer.b_hh, layer.h0, layer.c0, output, h, c,
      or_zeros(gradients.output, output), or_zeros(gradients.h, h), or_zeros(gradients.c, c),
      /*reverse=*/false, kLstm, layer.h0.size(1), /*num_layers=*/1, /*has_biases=*/true,
      /*train=*/true, /*bidirectional=*/false, /*batch_sizes=*/{}, /*batch_first=*/false,
      workspace);
  // In LibTorch's order: input, w_ih, w_hh, one bias, the other, h, c.
  return {std::get<0>(found),
          std::get<5>(found).view(layer.h0.sizes()),
          std::get<6>(found).view(layer.c0.sizes()),
          std::get<1>(found),
          std::get<2>(found),
          std::get<3>(found)};
}

}  // namespace amp::ops
