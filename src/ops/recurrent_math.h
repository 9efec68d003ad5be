// What recurrent layers share: products in the dtype that the processor multiplies in, and an LSTM's gates.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace amp::ops {

// A layer's weights in LibTorch's order: w_ih [gates * hidden, size], w_hh [gates * hidden, output], then
// b_ih and b_hh [gates * hidden] and the projection [output, hidden] if there are such.
struct Weights {
  at::Tensor w_ih, w_hh, b_ih, b_hh, w_hr;
};

Weights weights_of(at::TensorList list, bool has_biases);

// What products are computed in: fp32 where this processor has no arithmetic for the dtype.
at::Tensor to_multiply(const at::Tensor& tensor);

inline at::Tensor rows(const at::Tensor& tensor) { return tensor.flatten(0, 1); }

// a b + bias: fp32 operands are widened ones, whose engine is ours to choose. Not for autograd.
at::Tensor product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias = {});

// a b + self, of the same sizes, in fp32. The engines add no matrix on the way.
at::Tensor product_plus(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b);

// i, f, g, o of an LSTM's gates [.., 4 hidden], as views.
inline std::vector<at::Tensor> parts(const at::Tensor& gates) { return gates.chunk(4, -1); }

// An LSTM's gates out of what they are made of, in place.
void activate(const at::Tensor& gates);

// What an LSTM's backward pass computes again, in fp32 and for all steps: [.., 4 hidden] and [.., hidden].
struct LstmSteps {
  at::Tensor gates, cells_before, tanh_cells;
};

// Through which factor the gradient of an output or of a cell reaches what the gates were made of.
struct LstmFactors {
  at::Tensor cell_of_output;  // o (1 - tanh(c)^2)
  at::Tensor gates_of_cell;   // of i, f and g: [.., 3 hidden]
  at::Tensor o_of_output;     // tanh(c) o (1 - o)
};

LstmFactors factors_of(const LstmSteps& steps);

}  // namespace amp::ops
