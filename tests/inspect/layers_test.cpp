// Layers of many kinds, sound ones in each precision and one that overflows: no false alarm, and the
// right module.
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/pooling.h>
#include <torch/nn/modules/rnn.h>

#include <algorithm>
#include <functional>
#include <string>

#include "tests/inspect/models.h"

namespace amp::tests::layers_test {
namespace {

class ImagesImpl : public torch::nn::Module {
 public:
  ImagesImpl() {
    register_module("conv1", conv1);
    register_module("bn1", bn1);
    register_module("pool", pool);
    register_module("conv2", conv2);
    register_module("norm", norm);
    register_module("fc", fc);
  }
  at::Tensor forward(const at::Tensor& x) {
    auto y = pool(at::relu(bn1(conv1(x))));
    y = at::gelu(norm(conv2(y)));
    return fc(y.mean(at::IntArrayRef{2, 3}));
  }
  torch::nn::Conv2d conv1{torch::nn::Conv2dOptions(3, 8, 3).padding(1)};
  torch::nn::BatchNorm2d bn1{8};
  torch::nn::MaxPool2d pool{2};
  torch::nn::Conv2d conv2{torch::nn::Conv2dOptions(8, 8, 3).padding(1)};
  torch::nn::GroupNorm norm{torch::nn::GroupNormOptions(2, 8)};
  torch::nn::Linear fc{8, 4};
};
TORCH_MODULE(Images);

class TokensImpl : public torch::nn::Module {
 public:
  TokensImpl() {
    register_module("embedding", embedding);
    register_module("lstm", lstm);
    register_module("drop", drop);
    register_module("norm", norm);
    register_module("out", out);
  }
  at::Tensor forward(const at::Tensor& tokens) {
    const auto hidden = std::get<0>(lstm(embedding(tokens)));
    return out(norm(drop(hidden)).select(1, -1));
  }
  torch::nn::Embedding embedding{32, 16};
  torch::nn::LSTM lstm{torch::nn::LSTMOptions(16, 16).num_layers(2).batch_first(true)};
  torch::nn::Dropout drop{0.2};
  torch::nn::LayerNorm norm{torch::nn::LayerNormOptions({16})};
  torch::nn::Linear out{16, 4};
};
TORCH_MODULE(Tokens);

template <typename Holder>
Inspector watched(Holder& model, const Recipe& recipe, const std::function<at::Tensor()>& input) {
  optim::AdamW optimizer(model->parameters(), optim::AdamWOptions{.lr = 1e-3});
  Inspector inspector(*model);
  train(inspector, *model, optimizer, recipe, 6,
        [&](std::int64_t step) { return loss_of(model->forward(input()), rows(step).classes); });
  return inspector;
}

std::vector<Recipe> recipes() {
  return {Recipe::fp32(), Recipe::bf16(), Recipe::fp16(), Recipe::O2()};
}

bool has_module(const Inspector& inspector, const std::string& module, Pass pass) {
  return std::ranges::any_of(
      inspector.ops(), [&](const auto& op) { return op.module == module && op.pass == pass; });
}

TEST(Layers, ImagesAreClean) {
  for (const auto& recipe : recipes()) {
    at::manual_seed(1);
    Images model;
    const auto inspector = watched(model, recipe, [] { return at::randn({16, 3, 8, 8}); });
    EXPECT_EQ(inspector.diagnosis().verdict, Verdict::clean) << inspector.diagnosis().sentence;
    for (const auto pass : {Pass::forward, Pass::backward}) {
      for (const auto* module : {"conv1", "bn1", "pool", "conv2", "norm", "fc"})
        EXPECT_TRUE(has_module(inspector, module, pass)) << module;
    }
  }
}

TEST(Layers, TokensAreClean) {
  for (const auto& recipe : recipes()) {
    at::manual_seed(1);
    Tokens model;
    const auto inspector = watched(model, recipe, [] {
      return at::randint(32, {16, 5}, at::kLong);
    });
    EXPECT_EQ(inspector.diagnosis().verdict, Verdict::clean) << inspector.diagnosis().sentence;
    for (const auto* module : {"embedding", "lstm", "norm", "out"}) {
      EXPECT_TRUE(has_module(inspector, module, Pass::forward)) << module;
      EXPECT_TRUE(has_module(inspector, module, Pass::backward)) << module;
    }
  }
}

TEST(Layers, AConvolutionThatOverflows) {
  at::manual_seed(1);
  Images model;
  {
    at::NoGradGuard no_grad;
    model->conv2->weight.fill_(6e4);
  }
  const auto d = watched(model, Recipe::fp16(), [] { return at::ones({16, 3, 8, 8}); }).diagnosis();
  // Ones through a batch norm are its biases, 0: the second step's are not.
  EXPECT_EQ(d.verdict, Verdict::forward_overflow) << d.sentence;
  EXPECT_EQ(d.module, "conv2") << d.sentence;
  EXPECT_NE(d.op.find("conv"), std::string::npos) << d.op;
}

TEST(Layers, AnIndexOutOfRange) {
  Tokens model;
  Inspector inspector(*model);
  inspector.begin_step(4);
  const auto tokens = at::full({16, 5}, 32, at::kLong);
  try {
    model->forward(tokens);
    FAIL() << "LibTorch took row 32 of 32";
  } catch (const c10::Error& error) {
    inspector.fail_step(error.what());
  }
  const auto d = inspector.diagnosis();
  EXPECT_EQ(d.verdict, Verdict::bad_data) << d.sentence;
  EXPECT_EQ(d.step, 4);
  EXPECT_EQ(d.module, "embedding");
  EXPECT_NE(d.sentence.find("index 32 of 32"), std::string::npos) << d.sentence;
}

}  // namespace
}  // namespace amp::tests::layers_test
