// Small models in which something can be made to go wrong, and how they are trained.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/optim/sgd.h>

#include <functional>
#include <memory>
#include <utility>

#include "amp/amp.h"
#include "tests/support/training.h"

namespace amp::tests {

// One head of attention over rows, with a residual: "q", "k", "v", "out".
class AttentionImpl : public torch::nn::Module {
 public:
  explicit AttentionImpl(int width)
      : q(torch::nn::LinearOptions(width, width)),
        k(torch::nn::LinearOptions(width, width)),
        v(torch::nn::LinearOptions(width, width)),
        out(torch::nn::LinearOptions(width, width)) {
    register_module("q", q);
    register_module("k", k);
    register_module("v", v);
    register_module("out", out);
  }
  at::Tensor forward(const at::Tensor& x) {
    const auto scores = at::matmul(q(x), k(x).t());
    return out(at::matmul(at::softmax(scores, -1), v(x)));
  }
  torch::nn::Linear q, k, v, out;
};
TORCH_MODULE(Attention);

// in -> Attention -> Linear, ReLU, Linear -> classes.
class NetImpl : public torch::nn::Module {
 public:
  explicit NetImpl(int width = 8, int classes = 4)
      : in(6, width),
        attention(width),
        head(torch::nn::Linear(width, width), torch::nn::ReLU(),
             torch::nn::Linear(width, classes)) {
    register_module("in", in);
    register_module("attention", attention);
    register_module("head", head);
  }
  at::Tensor forward(const at::Tensor& x) { return head->forward(attention(in(x))); }
  torch::nn::Linear in;
  Attention attention;
  torch::nn::Sequential head;
};
TORCH_MODULE(Net);

inline Net make_net(std::uint64_t seed = 7) {
  at::manual_seed(seed);
  return Net();
}

struct Rows {
  at::Tensor inputs, classes;
};
inline Rows rows(std::int64_t step) {
  const auto generator =
      at::make_generator<at::CPUGeneratorImpl>(1000 + static_cast<std::uint64_t>(step));
  return {at::randn({16, 6}, generator), at::randint(4, {16}, generator)};
}

inline at::Tensor loss_of(const at::Tensor& logits, const at::Tensor& classes) {
  return at::cross_entropy_loss(logits.to(at::kFloat), classes);
}

// So many steps of a loss, watched.
template <typename Loss>
void train(Inspector& inspector, torch::nn::Module& model, torch::optim::Optimizer& optimizer,
           const Recipe& recipe, std::int64_t steps, Loss&& loss) {
  inspector.set_dynamic_scaling(recipe.loss_scaling == LossScaling::dynamic);
  TrainStep train_step(model, optimizer, recipe);
  for (std::int64_t step = 0; step < steps; ++step) {
    inspector.begin_step(step, train_step.scaler().get_scale());
    inspector.end_step(train_step([&] { return loss(step); }));
  }
}

inline Recipe fixed_fp16(double scale) {
  auto recipe = Recipe::fp16();
  recipe.loss_scaling = LossScaling::fixed;
  recipe.static_scale = scale;
  return recipe;
}

}  // namespace amp::tests
