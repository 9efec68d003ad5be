// One layer of an LSTM in fp32, which keeps nothing for its backward pass.
#pragma once

#include <ATen/core/Tensor.h>

namespace amp::ops {

// fp32, without gaps: x [time, batch, size], h0 and c0 [batch, hidden], w_ih [4 hidden, size], w_hh [4 hidden,
// hidden], b_ih and b_hh [4 hidden], in the order of gates of at::lstm.
struct LstmLayer {
  at::Tensor x, h0, c0, w_ih, w_hh, b_ih, b_hh;
};

struct LstmResults {
  at::Tensor output, h, c;  // [time, batch, hidden], [batch, hidden], [batch, hidden]
};

struct LstmGradients {
  at::Tensor x, h0, c0, w_ih, w_hh, bias;  // bias: that of either
};

// All steps on oneDNN, which packs the weights once. Throws c10::Error where LibTorch lacks it.
LstmResults fp32_lstm_layer(const LstmLayer& layer);

// Computes the layer again, with what oneDNN keeps of it, and then the gradients. An undefined gradient
// of a result counts as zeros.
LstmGradients fp32_lstm_layer_backward(const LstmLayer& layer, const LstmResults& gradients);

}  // namespace amp::ops
