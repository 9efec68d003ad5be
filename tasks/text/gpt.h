// GPT: a decoder of causal self-attention, as GPT-2 has it.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ampersand {

struct GptOptions {
  std::int64_t vocabulary = 256;
  std::int64_t context = 256;  // tokens that the model can look back on, and at most gets
  std::int64_t layers = 6;
  std::int64_t width = 384;  // of the residual stream; each head has width / heads of it
  std::int64_t heads = 6;
  double dropout = 0;  // of the embedding and of what each block adds to the residual stream
  bool tied = true;    // the output's weight is the embedding's
};

// Pre-norm blocks on a residual stream:
//   x = wte[token] + wpe[position]
//   x = x + c_proj(attention(c_attn(ln_1(x))))
//   x = x + c_proj(gelu(c_fc(ln_2(x))))
//   logits = ln_f(x) wte^T
// GELU is the tanh form. First weights: N(0, 0.02), those of c_proj N(0, 0.02 / sqrt(2 layers)),
// biases 0. Parameters have GPT-2's names. Unlike GPT-2 it has no dropout of the attention's
// probabilities, which would have to be kept for the backward pass: context^2 a head.
//
// Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3,
// and the published code (src/model.py).
class Gpt : public torch::nn::Module {
 public:
  // Throws amp::InvalidArgument for options that are out of range.
  explicit Gpt(const GptOptions& options);

  // tokens: [batch, time], int64, from 0 to vocabulary - 1, time <= context. Returns logits [batch,
  // time, vocabulary]; those of a position see no later token. Throws amp::InvalidArgument for
  // tokens of another shape or dtype, and on the CPU for a token that is out of range.
  at::Tensor forward(const at::Tensor& tokens);

  const GptOptions& options() const { return options_; }

 private:
  GptOptions options_;
  torch::nn::Embedding wte_, wpe_;
  torch::nn::Dropout drop_;
  torch::nn::ModuleList h_;
  torch::nn::LayerNorm ln_f_;
  torch::nn::Linear lm_head_{nullptr};  // none if tied
};

// "gpt2" (124 M parameters), "gpt2-medium" (355 M), "gpt2-large" (774 M), "gpt2-xl" (1.56 G).
std::vector<std::string> gpt_preset_names();
// Throws amp::InvalidArgument for another name.
GptOptions gpt_preset(const std::string& name);

}  // namespace ampersand
