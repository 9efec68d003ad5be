// One layer of an LSTM, in one direction, all of whose sequences have the same length.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

namespace amp::ops {

// x: [time, batch, size], or [batch, time, size] with time_dim 1; h0 [batch, output], c0 [batch, hidden],
// weights in the order of at::lstm; all in one low dtype. Returns the outputs in the order of x, h_n and c_n,
// in that dtype. How it computes: lstm.h.
std::array<at::Tensor, 3> lstm_layer(const at::Tensor& x, const at::Tensor& h0,
                                     const at::Tensor& c0, at::TensorList weights, bool has_biases,
                                     std::int64_t time_dim);

}  // namespace amp::ops
