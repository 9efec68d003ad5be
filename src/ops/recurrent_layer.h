// One layer of a recurrent network in low precision, in one direction, over packed sequences.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "src/ops/recurrent_math.h"

namespace amp::ops {

enum class CellKind { lstm, gru, tanh, relu };

// batch_sizes: how many sequences have a step t, falling with t, as torch::nn::utils::rnn packs them.
struct Recurrence {
  CellKind cell;
  bool has_biases, reverse;
  std::vector<std::int64_t> batch_sizes;
};

struct LayerResults {
  at::Tensor output, h, c;  // c: of an LSTM only
};

// x: [sum of batch_sizes, size]; h0 [batch, output], and of an LSTM c0 [batch, hidden]; weights in LibTorch's
// order. x and weights share one low dtype, in which the output is returned; h and c come in the dtypes of
// h0 and c0.
//
// States, gates and cells are fp32 from the first step to the last, and so are the sums over steps of every
// gradient; products are those of `product`. Nothing is kept for the backward pass but inputs and outputs,
// out of which it computes the gates of all steps in one product. With create_graph it is one of recorded
// ATen ops, which can be differentiated again.
//
// Source: torch.nn.GRU, torch.nn.RNN, torch.nn.LSTM, PyTorch 2.11, for the equations and the order of weights.
LayerResults recurrent_layer(const at::Tensor& x, const at::Tensor& h0, const at::Tensor& c0,
                             at::TensorList weights, const Recurrence& how);

// --- its parts ---

// The rows of x that a step computes.
struct Step {
  std::int64_t offset, count;
};

// In the order in which they are computed.
std::vector<Step> steps_of(const Recurrence& how);

// The part of the gates that needs no state, in fp32: x W_ih^T + b_ih, and b_hh where nothing comes between.
at::Tensor gates_of_inputs(const at::Tensor& x, const Weights& weights, CellKind cell);

// What a layer's backward pass is given: x, h0, c0, outputs, then the weights; and gradients of the outputs,
// h and c. Both return gradients of x, h0, c0 and the weights, in their dtypes.
struct SavedLayer {
  std::vector<at::Tensor> tensors;
  Recurrence how;

  const at::Tensor& x() const { return tensors[0]; }
  const at::Tensor& h0() const { return tensors[1]; }
  const at::Tensor& c0() const { return tensors[2]; }
  const at::Tensor& outputs() const { return tensors[3]; }
  Weights weights() const { return weights_of(at::TensorList(tensors).slice(4), how.has_biases); }
};

std::vector<at::Tensor> computed_gradients(const SavedLayer& layer,
                                           const std::vector<at::Tensor>& gradients);
// Through ATen ops that autograd records.
std::vector<at::Tensor> recorded_gradients(const SavedLayer& layer,
                                           const std::vector<at::Tensor>& gradients);

}  // namespace amp::ops
