// LSTM layers in low precision that keep nothing but their inputs and outputs.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>
#include <vector>

namespace amp::autocast {

struct Lstm {
  bool has_biases;
  std::int64_t layers;
  double dropout;  // between layers, while training
  bool train, bidirectional, batch_first;
};

// Whether lstm takes these: CPU tensors without wrappers of functorch or tracing, input [time,
// batch, size] or [batch, time, size] and not empty, states and weights as at::lstm wants them.
bool takes_lstm(const at::Tensor& input, at::TensorList states, at::TensorList weights,
                const Lstm& options);

// at::lstm for operands that are all fp16 or all bf16; returns output, h_n and c_n in that dtype.
// Products are summed in fp32; gates, cells and their gradients are fp32; h_t is rounded at every
// step, but where a layer without projection is widened: it runs in fp32 as a whole, and its output is
// rounded. Products that the processor has arithmetic for are rounded before the gates.
//
// LibTorch keeps gates, cells and scratch memory of every step for the backward pass: some 15 numbers
// for each of the output. Here that pass computes them again, out of the input and the output: with
// every h_t known it is one product for all steps, and only the cells need a loop; a widened layer runs
// once more. Costs a quarter of a layer's time (2 x 512, 16 x 64 tokens, Zen 5). With create_graph the backward pass is one of
// recorded ATen ops, which can be differentiated again. Does not wait for the device.
//
// Source: torch.nn.LSTM, PyTorch 2.11, for the equations and the order of weights.
std::tuple<at::Tensor, at::Tensor, at::Tensor> lstm(const at::Tensor& input, at::TensorList states,
                                                    at::TensorList weights, const Lstm& options);

}  // namespace amp::autocast
