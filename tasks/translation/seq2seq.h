// A transformer that translates: an encoder of the source, a decoder of the target.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/normalization.h>

#include <cstdint>
#include <memory>

#include "tasks/common/task_settings.h"

namespace ampersand {

struct Seq2seqOptions {
  std::int64_t vocabulary = 259;  // of source and target together, with begin, end and padding
  std::int64_t padding = 258;     // the token that fills the sources of a batch up
  std::int64_t layers = 3;        // of the encoder, and as many of the decoder
  std::int64_t width = 128;       // of the residual streams; each head has width / heads of it
  std::int64_t heads = 4;
  double dropout = 0;  // of the embeddings and of what each part adds to its residual stream
};

// Pre-norm blocks on two residual streams; x of the source, y of the target:
//   x = sqrt(width) E[source] + P,                y = sqrt(width) E[target] + P
//   x = x + attention(norm(x)),                   y = y + causal_attention(norm(y))
//                                                 y = y + attention(norm(y) to norm(x of the last block))
//   x = x + W2 relu(W1 norm(x)),                  y = y + W2 relu(W1 norm(y))
//   logits = norm(y) E^T
// P_(t, 2i) = sin(t / 10000^(2i / width)), P_(t, 2i + 1) = cos of the same: any length has positions.
// No attention looks at the source's padding. First weights: N(0, 1 / sqrt(width)) for the embedding
// E, which both sides and the output share; Xavier's uniform for all other matrices, biases 0.
//
// Source: Vaswani et al. 2017, "Attention is all you need", sections 3.1 to 3.5; the norms' places
// are those of Xiong et al. 2020, "On layer normalization in the transformer architecture".
class Seq2seq : public torch::nn::Module {
 public:
  // Throws amp::InvalidArgument for options that are out of range.
  explicit Seq2seq(const Seq2seqOptions& options);

  // source: [batch, source time], target: [batch, target time], int64, 0 to vocabulary - 1; padding
  // behind the end of each; no source is padding alone. Returns logits [batch, target time,
  // vocabulary] of the token that follows; those of a position see the whole source and no later
  // token of the target. Throws amp::InvalidArgument for tokens of another shape or dtype, for
  // batches of different sizes, and on the CPU for a token out of range.
  at::Tensor forward(const at::Tensor& source, const at::Tensor& target);

  const Seq2seqOptions& options() const { return options_; }

 private:
  at::Tensor embedded(const at::Tensor& tokens);

  Seq2seqOptions options_;
  torch::nn::Embedding embedding_;
  torch::nn::Dropout drop_;
  torch::nn::ModuleList encoder_, decoder_;
  torch::nn::LayerNorm encoder_norm_, decoder_norm_;
};

// A Seq2seq as the program trains it; inputs: source and target. Of the vocabulary the last token is
// padding. Sizes that are 0 are the model's own. Throws amp::InvalidArgument for sizes that it does
// not have or that do not go together.
amp::TaskModel make_seq2seq(std::int64_t vocabulary, const ModelSizes& sizes);

}  // namespace ampersand
