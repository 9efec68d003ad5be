// Times whole training steps: forward pass, loss, backward pass, clipping and AdamW, by TrainStep.
//
//   training_bench DEVICE MODEL        MODEL: mlp, gpt, or small-mlp and small-gpt to try it on a CPU
//
// The half of a pair: reads lines "PRECISION STEPS" (fp32, bf16, fp16) and answers with the seconds
// of a step, the device being waited for after the last one alone, so that tools/bench-training can
// take turns with Python's PyTorch. The first line of output is the number of parameters. The models
// are those of tools/bench-training, layer for layer.
#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "amp/optim.h"
#include "amp/train_step.h"

namespace {

struct Sizes {
  std::int64_t batch, width, layers;
  std::int64_t inputs = 784, classes = 10;             // of the MLP
  std::int64_t heads = 1, tokens = 1, vocabulary = 1;  // of the transformer
};

Sizes sizes_of(const std::string& model) {
  if (model == "mlp") return {.batch = 4096, .width = 4096, .layers = 4};
  if (model == "small-mlp") return {.batch = 64, .width = 256, .layers = 3};
  if (model == "gpt") {
    return {
        .batch = 16, .width = 1024, .layers = 8, .heads = 16, .tokens = 512, .vocabulary = 16384};
  }
  return {.batch = 2, .width = 64, .layers = 2, .heads = 2, .tokens = 32, .vocabulary = 256};
}

// As Python's nn.Linear. C++'s adds the bias of a 3-d input by a call of its own.
at::Tensor applied(const torch::nn::LinearImpl& layer, const at::Tensor& x) {
  return at::linear(x, layer.weight, layer.bias);
}

class Net : public torch::nn::Module {
 public:
  virtual at::Tensor loss(const at::Tensor& input, const at::Tensor& target) = 0;
  virtual std::pair<at::Tensor, at::Tensor> batch(c10::Device device) const = 0;
};

class Mlp : public Net {
 public:
  explicit Mlp(const Sizes& sizes) : sizes_(sizes) {
    register_module("layers", layers_);
    for (std::int64_t i = 0; i < sizes.layers; ++i) {
      const bool first = i == 0, last = i == sizes.layers - 1;
      layers_->push_back(torch::nn::Linear(first ? sizes.inputs : sizes.width,
                                           last ? sizes.classes : sizes.width));
    }
  }
  at::Tensor loss(const at::Tensor& input, const at::Tensor& target) override {
    auto x = input;
    for (std::size_t i = 0; i < layers_->size(); ++i) {
      x = applied(*layers_[i]->as<torch::nn::Linear>(), x);
      if (i + 1 < layers_->size()) x = at::relu(x);
    }
    return at::cross_entropy_loss(x, target);
  }
  std::pair<at::Tensor, at::Tensor> batch(c10::Device device) const override {
    return {at::randn({sizes_.batch, sizes_.inputs}).to(device),
            at::randint(sizes_.classes, {sizes_.batch}, at::kLong).to(device)};
  }

 private:
  Sizes sizes_;
  torch::nn::ModuleList layers_;
};

class BlockImpl : public torch::nn::Module {
 public:
  explicit BlockImpl(const Sizes& s)
      : heads_(s.heads),
        first_norm(torch::nn::LayerNormOptions({s.width})),
        second_norm(torch::nn::LayerNormOptions({s.width})),
        attention(s.width, 3 * s.width),
        projection(s.width, s.width),
        up(s.width, 4 * s.width),
        down(4 * s.width, s.width) {
    register_module("first_norm", first_norm);
    register_module("second_norm", second_norm);
    register_module("attention", attention);
    register_module("projection", projection);
    register_module("up", up);
    register_module("down", down);
  }
  at::Tensor forward(const at::Tensor& input) {
    const auto batch = input.size(0), tokens = input.size(1), width = input.size(2);
    const auto qkv = applied(*attention, first_norm(input))
                         .view({batch, tokens, 3, heads_, width / heads_})
                         .permute({2, 0, 3, 1, 4})
                         .unbind(0);
    const auto mixed = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], {}, 0.0,
                                                        /*is_causal=*/true);
    const auto x =
        input + applied(*projection, mixed.transpose(1, 2).reshape({batch, tokens, width}));
    return x + applied(*down, at::gelu(applied(*up, second_norm(x)), "tanh"));
  }

 private:
  std::int64_t heads_;
  torch::nn::LayerNorm first_norm, second_norm;
  torch::nn::Linear attention, projection, up, down;
};
TORCH_MODULE(Block);

class Gpt : public Net {
 public:
  explicit Gpt(const Sizes& s)
      : sizes_(s),
        tokens_(s.vocabulary, s.width),
        positions_(s.tokens, s.width),
        norm_(torch::nn::LayerNormOptions({s.width})),
        head_(torch::nn::LinearOptions(s.width, s.vocabulary).bias(false)) {
    register_module("tokens", tokens_);
    register_module("positions", positions_);
    register_module("blocks", blocks_);
    register_module("norm", norm_);
    register_module("head", head_);
    for (std::int64_t i = 0; i < s.layers; ++i) blocks_->push_back(Block(s));
  }
  at::Tensor loss(const at::Tensor& input, const at::Tensor& target) override {
    auto x = tokens_(input) + positions_->weight;
    for (std::size_t i = 0; i < blocks_->size(); ++i) x = blocks_[i]->as<Block>()->forward(x);
    return at::cross_entropy_loss(applied(*head_, norm_(x)).flatten(0, 1), target.flatten());
  }
  std::pair<at::Tensor, at::Tensor> batch(c10::Device device) const override {
    const auto text = at::randint(sizes_.vocabulary, {sizes_.batch, sizes_.tokens + 1}, at::kLong);
    return {text.narrow(1, 0, sizes_.tokens).contiguous().to(device),
            text.narrow(1, 1, sizes_.tokens).contiguous().to(device)};
  }

 private:
  Sizes sizes_;
  torch::nn::Embedding tokens_, positions_;
  torch::nn::ModuleList blocks_;
  torch::nn::LayerNorm norm_;
  torch::nn::Linear head_;
};

std::unique_ptr<Net> make_net(const std::string& name) {
  const auto sizes = sizes_of(name);
  if (name.ends_with("mlp")) return std::make_unique<Mlp>(sizes);
  return std::make_unique<Gpt>(sizes);
}

amp::Recipe recipe_named(const std::string& precision) {
  auto recipe = precision == "fp32"   ? amp::Recipe::fp32()
                : precision == "bf16" ? amp::Recipe::bf16()
                                      : amp::Recipe::fp16();
  recipe.max_grad_norm = 1;
  return recipe;
}

double seconds_of_a_step(const std::string& model, const std::string& precision, c10::Device device,
                         int steps) {
  at::manual_seed(1);
  const auto net = make_net(model);
  net->to(device);
  amp::optim::AdamW optimizer(net->parameters(), {.lr = 1e-4, .weight_decay = 0.01});
  amp::TrainStep train_step(*net, optimizer, recipe_named(precision));
  const auto [input, target] = net->batch(device);
  const auto run = [&](int count) {
    for (int i = 0; i < count; ++i)
      train_step([&, x = input, y = target] { return net->loss(x, y); });
    if (!device.is_cpu())
      c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(input.device().index());
  };
  run(5);
  const auto begin = std::chrono::steady_clock::now();
  run(steps);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  return taken.count() / steps;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: training_bench DEVICE mlp|gpt|small-mlp|small-gpt\n";
    return 2;
  }
  const c10::Device device(argv[1]);
  const std::string model = argv[2];
  std::int64_t parameters = 0;
  for (const auto& parameter : make_net(model)->parameters()) parameters += parameter.numel();
  std::cout << parameters << std::endl;
  std::string precision;
  for (int steps = 0; std::cin >> precision >> steps;)
    std::cout << seconds_of_a_step(model, precision, device, steps) << std::endl;
}
