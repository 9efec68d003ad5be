// LSTM layers in low precision that keep nothing but their inputs and outputs.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

#include "src/autocast/own_kernel.h"

namespace at::_ops {
struct lstm_input;
}

namespace amp::ops {

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

}  // namespace amp::ops

namespace amp::autocast {

// By lower_precision, on the CPU. What `lstm` does not take there is LibTorch's, with fp32 operands and casts
// inside it: in fp16 LibTorch's takes its fast path for fp32 inputs alone. On CUDA the layers inside have
// the rule.
template <>
struct OwnKernel<at::_ops::lstm_input> : CastAndCall {
  static CastRule rule(CastRule rule, c10::DeviceType device, const Region*,
                       const at::Tensor& input, at::TensorList states, at::TensorList weights,
                       bool has_biases, std::int64_t layers, double dropout, bool train,
                       bool bidirectional, bool batch_first);
  static constexpr c10::ScalarType dtype_to_pass_on(CastRule given, c10::DeviceType device) {
    const bool is_ours = given == CastRule::lower_precision && device == c10::DeviceType::CPU;
    return is_ours ? c10::kFloat : kAsItIs;
  }
  static constexpr bool computes(CastRule rule, c10::DeviceType device) {
    return rule == CastRule::lower_precision && device == c10::DeviceType::CPU;
  }
  static std::tuple<at::Tensor, at::Tensor, at::Tensor> run(
      const Casts& to_low, const at::Tensor& input, at::TensorList states, at::TensorList weights,
      bool has_biases, std::int64_t layers, double dropout, bool train, bool bidirectional,
      bool batch_first);
};

}  // namespace amp::autocast
