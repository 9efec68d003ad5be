// The translating transformer from torch::nn's modules.
#include "tasks/translation/seq2seq.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/linear.h>

#include <cmath>
#include <string>

#include "amp/error.h"
#include "tasks/common/size_options.h"
#include "tasks/common/tokens.h"

namespace ampersand {
namespace {

namespace nn = torch::nn;

constexpr double kLongestWave = 10000;  // over 2 pi, of the positions

const Seq2seqOptions& checked(const Seq2seqOptions& options) {
  check_at_least_one("Seq2seq", "vocabulary", options.vocabulary);
  check_at_least_one("Seq2seq", "layers", options.layers);
  check_at_least_one("Seq2seq", "width", options.width);
  check_at_least_one("Seq2seq", "heads", options.heads);
  check_dropout("Seq2seq", options.dropout);
  if (options.width % options.heads == 0 && options.width % 2 == 0) return options;
  throw amp::InvalidArgument("Seq2seq: width must be even and a multiple of heads, got " +
                             std::to_string(options.width) + " and " +
                             std::to_string(options.heads));
}

nn::LayerNorm norm_of(std::int64_t width) { return nn::LayerNorm(nn::LayerNormOptions({width})); }

// Each head: softmax(q k^T / sqrt(width / heads)) v, q from one stream, k and v from the same or
// another.
class Attention : public nn::Module {
 public:
  explicit Attention(const Seq2seqOptions& options)
      : heads_(options.heads),
        query_(register_module("query", nn::Linear(options.width, options.width))),
        key_value_(register_module("key_value", nn::Linear(options.width, 2 * options.width))),
        output_(register_module("output", nn::Linear(options.width, options.width))) {}

  // mask: bool, broadcast to [batch, heads, time of x, time of `to`]; true: look there.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& to,
                     const c10::optional<at::Tensor>& mask, bool causal) {
    const auto batch = x.size(0), size = x.size(2) / heads_;
    const auto query = query_(x).view({batch, x.size(1), heads_, size}).transpose(1, 2);
    const auto parts = key_value_(to).view({batch, to.size(1), 2, heads_, size}).unbind(2);
    const auto mixed = at::scaled_dot_product_attention(
        query, parts[0].transpose(1, 2), parts[1].transpose(1, 2), mask, /*dropout_p=*/0.0, causal);
    return output_(mixed.transpose(1, 2).reshape(x.sizes()));
  }

 private:
  std::int64_t heads_;
  nn::Linear query_, key_value_, output_;
};

class FeedForward : public nn::Module {
 public:
  explicit FeedForward(const Seq2seqOptions& options)
      : hidden_(register_module("hidden", nn::Linear(options.width, 4 * options.width))),
        output_(register_module("output", nn::Linear(4 * options.width, options.width))) {}

  at::Tensor forward(const at::Tensor& x) { return output_(at::relu(hidden_(x))); }

 private:
  nn::Linear hidden_, output_;
};

class EncoderBlock : public nn::Module {
 public:
  explicit EncoderBlock(const Seq2seqOptions& options)
      : attention_norm_(register_module("attention_norm", norm_of(options.width))),
        attention_(register_module("attention", std::make_shared<Attention>(options))),
        feed_norm_(register_module("feed_norm", norm_of(options.width))),
        feed_(register_module("feed", std::make_shared<FeedForward>(options))),
        drop_(register_module("drop", nn::Dropout(options.dropout))) {}

  at::Tensor forward(const at::Tensor& input, const at::Tensor& mask) {
    const auto normed = attention_norm_(input);
    const auto x = input + drop_(attention_->forward(normed, normed, mask, false));
    return x + drop_(feed_->forward(feed_norm_(x)));
  }

 private:
  nn::LayerNorm attention_norm_;
  std::shared_ptr<Attention> attention_;
  nn::LayerNorm feed_norm_;
  std::shared_ptr<FeedForward> feed_;
  nn::Dropout drop_;
};

class DecoderBlock : public nn::Module {
 public:
  explicit DecoderBlock(const Seq2seqOptions& options)
      : self_norm_(register_module("self_norm", norm_of(options.width))),
        self_(register_module("self", std::make_shared<Attention>(options))),
        cross_norm_(register_module("cross_norm", norm_of(options.width))),
        cross_(register_module("cross", std::make_shared<Attention>(options))),
        feed_norm_(register_module("feed_norm", norm_of(options.width))),
        feed_(register_module("feed", std::make_shared<FeedForward>(options))),
        drop_(register_module("drop", nn::Dropout(options.dropout))) {}

  // The target's padding is behind all of its tokens, so that causality alone hides it from them.
  at::Tensor forward(const at::Tensor& input, const at::Tensor& source, const at::Tensor& mask) {
    const auto normed = self_norm_(input);
    auto y = input + drop_(self_->forward(normed, normed, {}, true));
    y = y + drop_(cross_->forward(cross_norm_(y), source, mask, false));
    return y + drop_(feed_->forward(feed_norm_(y)));
  }

 private:
  nn::LayerNorm self_norm_;
  std::shared_ptr<Attention> self_;
  nn::LayerNorm cross_norm_;
  std::shared_ptr<Attention> cross_;
  nn::LayerNorm feed_norm_;
  std::shared_ptr<FeedForward> feed_;
  nn::Dropout drop_;
};

// [time, width], in fp32 whatever the model computes in: bf16 has neither all numbers above 256 nor
// their angles.
at::Tensor positions(std::int64_t time, std::int64_t width, const at::TensorOptions& options) {
  const auto rates = at::exp(at::arange(0, width, 2, options) *
                             (-std::log(kLongestWave) / static_cast<double>(width)));
  const auto angles = at::arange(time, options).unsqueeze(1) * rates;
  return at::stack({at::sin(angles), at::cos(angles)}, 2).flatten(1);
}

void set_first_seq2seq_weights(nn::Module& model, std::int64_t width) {
  for (auto& parameter : model.named_parameters()) {
    const auto& name = parameter.key();
    if (name == "embedding.weight") {
      nn::init::normal_(parameter.value(), 0.0, 1 / std::sqrt(static_cast<double>(width)));
    } else if (parameter.value().dim() == 2) {
      nn::init::xavier_uniform_(parameter.value());
    } else if (name.ends_with(".bias")) {
      nn::init::zeros_(parameter.value());
    }
  }
}

}  // namespace

Seq2seq::Seq2seq(const Seq2seqOptions& options)
    : options_(checked(options)),
      embedding_(register_module("embedding", nn::Embedding(options.vocabulary, options.width))),
      drop_(register_module("drop", nn::Dropout(options.dropout))),
      encoder_(register_module("encoder", nn::ModuleList())),
      decoder_(register_module("decoder", nn::ModuleList())),
      encoder_norm_(register_module("encoder_norm", norm_of(options.width))),
      decoder_norm_(register_module("decoder_norm", norm_of(options.width))) {
  for (std::int64_t i = 0; i < options.layers; ++i) {
    encoder_->push_back(std::make_shared<EncoderBlock>(options));
    decoder_->push_back(std::make_shared<DecoderBlock>(options));
  }
  set_first_seq2seq_weights(*this, options.width);
}

at::Tensor Seq2seq::embedded(const at::Tensor& tokens) {
  const auto rows = embedding_(tokens);
  const auto where = positions(tokens.size(1), options_.width, tokens.options().dtype(c10::kFloat));
  return drop_(rows * std::sqrt(static_cast<double>(options_.width)) +
               where.to(rows.scalar_type()));
}

at::Tensor Seq2seq::forward(const at::Tensor& source, const at::Tensor& target) {
  check_tokens("Seq2seq", source, options_.vocabulary);
  check_tokens("Seq2seq", target, options_.vocabulary);
  if (source.size(0) != target.size(0)) {
    throw amp::InvalidArgument("Seq2seq: source and target must have as many rows, got " +
                               std::to_string(source.size(0)) + " and " +
                               std::to_string(target.size(0)));
  }
  const auto mask = source.ne(options_.padding).unsqueeze(1).unsqueeze(1);
  auto x = embedded(source);
  for (const auto& block : *encoder_) x = block->as<EncoderBlock>()->forward(x, mask);
  x = encoder_norm_(x);
  auto y = embedded(target);
  for (const auto& block : *decoder_) y = block->as<DecoderBlock>()->forward(y, x, mask);
  return at::linear(decoder_norm_(y), embedding_->weight);
}

amp::TaskModel make_seq2seq(std::int64_t vocabulary, const ModelSizes& sizes) {
  refuse_size(!sizes.preset.empty(), "--size", "gpt");
  refuse_size(sizes.embedding != 0, "--embedding", "lstm");
  refuse_size(sizes.projection != 0, "--projection", "lstm");
  refuse_size(sizes.tied, "--tied", "lstm (seq2seq's output is always tied)");
  refuse_size(sizes.untied, "--untied", "gpt");
  Seq2seqOptions options;
  options.vocabulary = vocabulary;
  options.padding = vocabulary - 1;
  take_size(options.layers, sizes.layers);
  take_size(options.width, sizes.width);
  take_size(options.heads, sizes.heads);
  options.dropout = sizes.dropout;
  return amp::task_model(std::make_shared<Seq2seq>(options));
}

}  // namespace ampersand
