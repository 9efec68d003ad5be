// The LSTM language model from torch::nn's modules.
#include "tasks/text/lstm.h"

#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/init.h>

#include <string>
#include <tuple>

#include "amp/error.h"
#include "tasks/common/tokens.h"

namespace ampersand {
namespace {

namespace nn = torch::nn;

std::int64_t output_width(const LstmOptions& options) {
  return options.projection > 0 ? options.projection : options.hidden;
}

const LstmOptions& checked(const LstmOptions& options) {
  check_at_least_one("LstmModel", "vocabulary", options.vocabulary);
  check_at_least_one("LstmModel", "embedding", options.embedding);
  check_at_least_one("LstmModel", "hidden", options.hidden);
  check_at_least_one("LstmModel", "layers", options.layers);
  check_dropout("LstmModel", options.dropout);
  if (options.projection < 0 || options.projection >= options.hidden) {
    throw amp::InvalidArgument("LstmModel: projection must be 0 (none) or less than hidden, " +
                               std::to_string(options.hidden) + ", got " +
                               std::to_string(options.projection));
  }
  if (!options.tied || options.embedding == output_width(options)) return options;
  const auto embedding = std::to_string(options.embedding);
  throw amp::InvalidArgument("LstmModel: a tied output must be as wide as the embedding, " +
                             embedding + ", got " + std::to_string(output_width(options)) +
                             "; set projection to " + embedding + ", or do not tie");
}

nn::LSTM layers_of(const LstmOptions& options) {
  return nn::LSTM(nn::LSTMOptions(options.embedding, options.hidden)
                      .num_layers(options.layers)
                      .dropout(options.layers > 1 ? options.dropout : 0)
                      .batch_first(true)
                      .proj_size(options.projection));
}

}  // namespace

LstmModel::LstmModel(const LstmOptions& options)
    : options_(checked(options)),
      embedding_(
          register_module("embedding", nn::Embedding(options.vocabulary, options.embedding))),
      drop_(register_module("drop", nn::Dropout(options.dropout))),
      lstm_(register_module("lstm", layers_of(options))) {
  if (options.tied) {
    nn::init::uniform_(embedding_->weight, -0.1, 0.1);
    output_bias_ = register_parameter("output_bias", at::zeros({options.vocabulary}));
  } else {
    output_ = register_module("output", nn::Linear(output_width(options), options.vocabulary));
  }
}

at::Tensor LstmModel::forward(const at::Tensor& tokens) {
  check_tokens("LstmModel", tokens, options_.vocabulary);
  const auto x = drop_(std::get<0>(lstm_(drop_(embedding_(tokens)))));
  return output_ ? output_(x) : at::linear(x, embedding_->weight, output_bias_);
}

}  // namespace ampersand
