// A language model of stacked LSTM layers.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/rnn.h>

#include <cstdint>

namespace ampersand {

struct LstmOptions {
  std::int64_t vocabulary = 256;
  std::int64_t embedding = 512;
  std::int64_t hidden = 512;  // of each layer's cell
  std::int64_t layers = 2;
  std::int64_t projection = 0;  // what each layer's output is projected to; 0: it is not
  bool tied = false;            // the output's weight is the embedding's
  double dropout = 0;           // of each layer's input and of the last one's output
};

// Tokens to rows of the embedding, through the layers, to logits:
//   i, f, g, o = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh
//   c_t = sigmoid(f) c_(t-1) + sigmoid(i) tanh(g),  h_t = (P) sigmoid(o) tanh(c_t)
// Each sequence begins with a state of zeros. First weights are torch's: N(0, 1) for the embedding,
// uniform within 1 / sqrt(size) for all else; a tied embedding is uniform within 0.1, since it
// makes logits, too.
//
// Source: Zaremba, Sutskever and Vinyals 2014, "Recurrent Neural Network Regularization" (layers,
// dropout); Sak, Senior and Beaufays 2014 (projection); Press and Wolf 2017 (tied output).
class LstmModel : public torch::nn::Module {
 public:
  // Throws amp::InvalidArgument for options that are out of range, and for a tied output whose
  // width is not the embedding's.
  explicit LstmModel(const LstmOptions& options);

  // tokens: [batch, time], int64, from 0 to vocabulary - 1. Returns logits [batch, time,
  // vocabulary]. Throws amp::InvalidArgument for tokens of another shape or dtype, and on the CPU
  // for a token that is out of range.
  at::Tensor forward(const at::Tensor& tokens);

  const LstmOptions& options() const { return options_; }

 private:
  LstmOptions options_;
  torch::nn::Embedding embedding_;
  torch::nn::Dropout drop_;
  torch::nn::LSTM lstm_;
  torch::nn::Linear output_{nullptr};  // none if tied
  at::Tensor output_bias_;             // of a tied output
};

}  // namespace ampersand
