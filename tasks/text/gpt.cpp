// GPT from torch::nn's modules.
#include "tasks/text/gpt.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <torch/nn/init.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <string>

#include "amp/error.h"
#include "tasks/common/tokens.h"

namespace ampersand {
namespace {

namespace nn = torch::nn;

constexpr double kFirstDeviation = 0.02;

const GptOptions& checked(const GptOptions& options) {
  check_at_least_one("Gpt", "vocabulary", options.vocabulary);
  check_at_least_one("Gpt", "context", options.context);
  check_at_least_one("Gpt", "layers", options.layers);
  check_at_least_one("Gpt", "width", options.width);
  check_at_least_one("Gpt", "heads", options.heads);
  check_dropout("Gpt", options.dropout);
  if (options.width % options.heads == 0) return options;
  throw amp::InvalidArgument("Gpt: width must be a multiple of heads, got " +
                             std::to_string(options.width) + " and " +
                             std::to_string(options.heads));
}

// Each head: softmax(q k^T / sqrt(width / heads)) v over the positions up to its own.
class Attention : public nn::Module {
 public:
  explicit Attention(const GptOptions& options)
      : heads_(options.heads),
        c_attn_(register_module("c_attn", nn::Linear(options.width, 3 * options.width))),
        c_proj_(register_module("c_proj", nn::Linear(options.width, options.width))) {}

  at::Tensor forward(const at::Tensor& x) {
    const auto batch = x.size(0), time = x.size(1), width = x.size(2);
    const auto parts = c_attn_(x).view({batch, time, 3, heads_, width / heads_}).unbind(2);
    const auto mixed = at::scaled_dot_product_attention(
        parts[0].transpose(1, 2), parts[1].transpose(1, 2), parts[2].transpose(1, 2),
        /*attn_mask=*/{}, /*dropout_p=*/0.0, /*is_causal=*/true);
    return c_proj_(mixed.transpose(1, 2).reshape({batch, time, width}));
  }

 private:
  std::int64_t heads_;
  nn::Linear c_attn_, c_proj_;
};

class Mlp : public nn::Module {
 public:
  explicit Mlp(const GptOptions& options)
      : c_fc_(register_module("c_fc", nn::Linear(options.width, 4 * options.width))),
        c_proj_(register_module("c_proj", nn::Linear(4 * options.width, options.width))) {}

  at::Tensor forward(const at::Tensor& x) { return c_proj_(at::gelu(c_fc_(x), "tanh")); }

 private:
  nn::Linear c_fc_, c_proj_;
};

class Block : public nn::Module {
 public:
  explicit Block(const GptOptions& options)
      : ln_1_(register_module("ln_1", nn::LayerNorm(nn::LayerNormOptions({options.width})))),
        attn_(register_module("attn", std::make_shared<Attention>(options))),
        ln_2_(register_module("ln_2", nn::LayerNorm(nn::LayerNormOptions({options.width})))),
        mlp_(register_module("mlp", std::make_shared<Mlp>(options))),
        drop_(register_module("drop", nn::Dropout(options.dropout))) {}

  at::Tensor forward(const at::Tensor& input) {
    const auto x = input + drop_(attn_->forward(ln_1_(input)));
    return x + drop_(mlp_->forward(ln_2_(x)));
  }

 private:
  nn::LayerNorm ln_1_;
  std::shared_ptr<Attention> attn_;
  nn::LayerNorm ln_2_;
  std::shared_ptr<Mlp> mlp_;
  nn::Dropout drop_;
};

// The residual stream's variance grows with every block that adds to it, hence the smaller c_proj.
void set_first_weights(nn::Module& model, std::int64_t layers) {
  const double residual = kFirstDeviation / std::sqrt(2.0 * static_cast<double>(layers));
  for (auto& parameter : model.named_parameters()) {
    const auto& name = parameter.key();
    if (parameter.value().dim() < 2) {
      if (name.ends_with(".bias")) nn::init::zeros_(parameter.value());
      continue;
    }
    const bool adds = name.ends_with("c_proj.weight");
    nn::init::normal_(parameter.value(), 0.0, adds ? residual : kFirstDeviation);
  }
}

struct Preset {
  const char* name;
  std::int64_t layers, width, heads;
};

constexpr std::array<Preset, 4> kPresets = {{
    {"gpt2", 12, 768, 12},
    {"gpt2-medium", 24, 1024, 16},
    {"gpt2-large", 36, 1280, 20},
    {"gpt2-xl", 48, 1600, 25},
}};

}  // namespace

Gpt::Gpt(const GptOptions& options)
    : options_(checked(options)),
      wte_(register_module("wte", nn::Embedding(options.vocabulary, options.width))),
      wpe_(register_module("wpe", nn::Embedding(options.context, options.width))),
      drop_(register_module("drop", nn::Dropout(options.dropout))),
      h_(register_module("h", nn::ModuleList())),
      ln_f_(register_module("ln_f", nn::LayerNorm(nn::LayerNormOptions({options.width})))) {
  for (std::int64_t i = 0; i < options.layers; ++i) h_->push_back(std::make_shared<Block>(options));
  if (!options.tied) {
    lm_head_ = register_module(
        "lm_head", nn::Linear(nn::LinearOptions(options.width, options.vocabulary).bias(false)));
  }
  set_first_weights(*this, options.layers);
}

at::Tensor Gpt::forward(const at::Tensor& tokens) {
  check_tokens("Gpt", tokens, options_.vocabulary);
  const auto time = tokens.size(1);
  if (time > options_.context) {
    throw amp::InvalidArgument("Gpt: at most " + std::to_string(options_.context) +
                               " tokens fit the context, got " + std::to_string(time) +
                               "; give it shorter sequences or make it with a longer context");
  }
  // Looked up, not cut out of the weight, so that positions have the dtype of the token's rows.
  const auto positions = at::arange(time, tokens.options());
  auto x = drop_(wte_(tokens) + wpe_(positions));
  for (const auto& block : *h_) x = block->as<Block>()->forward(x);
  x = ln_f_(x);
  return lm_head_ ? lm_head_(x) : at::linear(x, wte_->weight);
}

std::vector<std::string> gpt_preset_names() {
  std::vector<std::string> names;
  for (const auto& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

GptOptions gpt_preset(const std::string& name) {
  const auto found = std::ranges::find(kPresets, name, &Preset::name);
  if (found == kPresets.end()) {
    std::string names;
    for (const auto& known : gpt_preset_names()) names += (names.empty() ? "" : ", ") + known;
    throw amp::InvalidArgument("gpt_preset: the name must be one of " + names + ", got '" + name +
                               "'");
  }
  return {.vocabulary = 50257,
          .context = 1024,
          .layers = found->layers,
          .width = found->width,
          .heads = found->heads};
}

}  // namespace ampersand
