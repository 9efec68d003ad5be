// GRU, RNN and packed LSTM networks in low precision, whose states and gates are fp32.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "src/ops/recurrent_layer.h"

namespace amp::ops {

// Of LibTorch's ops for all layers of a network.
struct Network {
  CellKind cell;
  bool has_biases;
  std::int64_t layers;
  double dropout;  // between layers, while training
  bool train, bidirectional;
};

// input: packed, [sum of batch_sizes, size]. states: h, and of an LSTM c, [layers * directions, batch, ..].
struct Sequences {
  at::Tensor input;
  std::vector<std::int64_t> batch_sizes;
  std::vector<at::Tensor> states;
};

// Whether network takes these: CPU tensors without wrappers of functorch or tracing, none of fp64, not empty,
// in the sizes that LibTorch wants. Here the input's rows may have two dimensions.
bool takes_network(const Sequences& given, at::TensorList weights, const Network& network);

// LibTorch's gru, rnn_tanh, rnn_relu and lstm for an input and weights that are all fp16 or all bf16: returns
// the output in that dtype, and the last states in the dtypes of the first. Layers follow recurrent_layer.h;
// what one hands to the next is rounded. Does not wait for a device.
Sequences network(const Sequences& given, at::TensorList weights, const Network& network);

}  // namespace amp::ops
