// A skipped step changes nothing: the model's buffers neither.
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <stdexcept>

#include "amp/checkpoint.h"
#include "amp/optim.h"
#include "amp/train_step.h"
#include "tests/support/mlp.h"
#include "tests/support/training.h"

namespace amp::tests::buffers_test {
namespace {

// Besides the statistics, a small and a large buffer that the forward pass counts in.
struct NormedImpl : torch::nn::Module {
  NormedImpl() {
    register_module("linear", linear);
    register_module("norm", norm);
    to(test_device());
  }
  at::Tensor loss(const at::Tensor& input, double scale = 1.0) {
    at::NoGradGuard no_grad;
    calls.add_(1);
    bank.add_(1);
    const at::AutoGradMode on(true);
    return (norm(linear(input)).to(at::kFloat) * scale).square().sum();
  }
  Values statistics() const {
    Values all;
    for (const auto& buffer : {norm->running_mean, norm->running_var, norm->num_batches_tracked,
                               calls, bank.narrow(0, 0, 2)}) {
      for (const double value : values(buffer)) all.push_back(value);
    }
    return all;
  }
  torch::nn::Linear linear{6, 4};
  torch::nn::BatchNorm1d norm{4};
  at::Tensor calls = register_buffer("calls", at::zeros({1}, at::kLong));
  at::Tensor bank = register_buffer("bank", at::zeros({1 << 18}));
};
TORCH_MODULE(Normed);

Recipe scaled(std::int64_t accumulation = 1) {
  auto recipe = Recipe::fp16();
  recipe.accumulation = accumulation;
  recipe.scaler.init_scale = 8;
  return recipe;
}

at::Tensor fitting() { return batch(0).inputs; }
at::Tensor overflowing() { return batch(0).inputs * 1e30; }

template <typename Optimizer>
struct Buffers : testing::Test {
  Buffers() { model->train(); }
  auto step(const at::Tensor& input) {
    return [this, input] { return model->loss(input); };
  }
  Normed model;
  Optimizer optimizer = made(model->parameters());

  static Optimizer made(const std::vector<at::Tensor>& weights) {
    if constexpr (std::is_same_v<Optimizer, optim::SGD>)
      return optim::SGD(weights, optim::SGDOptions{.lr = 0.001});
    else
      return torch::optim::SGD(weights, torch::optim::SGDOptions(0.001));
  }
};
using Optimizers = testing::Types<torch::optim::SGD, optim::SGD>;
TYPED_TEST_SUITE(Buffers, Optimizers);

TYPED_TEST(Buffers, ASkippedFirstStepLeavesThemAsTheyWere) {
  TrainStep train_step(this->model, this->optimizer, scaled());
  const auto before = this->model->statistics();
  EXPECT_TRUE(train_step(this->step(overflowing())).skipped());
  EXPECT_THAT(this->model->statistics(), AreExactly(before));
  EXPECT_TRUE(train_step(this->step(fitting())).stepped());
  const auto after = this->model->statistics();
  EXPECT_EQ(after[8], 1.0) << "num_batches_tracked";
  EXPECT_EQ(after[10], 1.0) << "the large one";
  EXPECT_NE(after[0], before[0]);
  EXPECT_TRUE(train_step(this->step(overflowing())).skipped());
  EXPECT_THAT(this->model->statistics(), AreExactly(after));
}

TYPED_TEST(Buffers, ASkipTakesTheWholeWindowBack) {
  TrainStep train_step(this->model, this->optimizer, scaled(3));
  for (int i = 0; i < 3; ++i) train_step(this->step(fitting()));
  const auto before = this->model->statistics();
  train_step(this->step(fitting()));
  train_step(this->step(overflowing()));
  EXPECT_TRUE(train_step(this->step(fitting())).skipped());
  EXPECT_THAT(this->model->statistics(), AreExactly(before));
  train_step(this->step(overflowing()));
  EXPECT_TRUE(train_step.flush().skipped());
  EXPECT_THAT(this->model->statistics(), AreExactly(before));
}

TYPED_TEST(Buffers, AFailedCallIsTakenBackAndNotTheOnesBeforeIt) {
  TrainStep train_step(this->model, this->optimizer, scaled(2));
  train_step(this->step(fitting()));
  const auto before = this->model->statistics();
  EXPECT_THROW(train_step([&]() -> at::Tensor {
                 this->model->loss(overflowing());
                 throw std::runtime_error("the user's own");
               }),
               std::runtime_error);
  EXPECT_THAT(this->model->statistics(), AreExactly(before));
  EXPECT_TRUE(train_step(this->step(fitting())).stepped());
  EXPECT_EQ(this->model->norm->num_batches_tracked.template item<int>(), 2);
}

TYPED_TEST(Buffers, TheOptionLeavesThemAsTorchDoes) {
  auto recipe = scaled();
  recipe.restore_buffers = false;
  TrainStep train_step(this->model, this->optimizer, recipe);
  EXPECT_TRUE(train_step(this->step(overflowing())).skipped());
  EXPECT_EQ(this->model->norm->num_batches_tracked.template item<int>(), 1);
  EXPECT_FALSE(this->model->norm->running_var.isfinite().all().template item<bool>());
}

TYPED_TEST(Buffers, WhatIsLoadedWithinAWindowStays) {
  TrainStep train_step(this->model, this->optimizer, scaled(2));
  train_step(this->step(fitting()));
  {
    at::NoGradGuard no_grad;
    this->model->norm->running_mean.fill_(7);
    this->model->bank.fill_(5);
  }
  EXPECT_TRUE(train_step(this->step(overflowing())).skipped());
  EXPECT_THAT(values(this->model->norm->running_mean), AreExactly(Values{7, 7, 7, 7}));
  EXPECT_EQ(this->model->bank[0].template item<double>(), 5.0);
  auto weights = train_step.weights();
  for (auto& [name, value] : weights) {
    value = value.clone();
    if (name == "norm.running_var") value.fill_(3);
  }
  train_step(this->step(fitting()));
  train_step.load_weights(weights);
  EXPECT_TRUE(train_step(this->step(overflowing())).skipped());
  EXPECT_THAT(values(this->model->norm->running_var), AreExactly(Values{3, 3, 3, 3}));
}

TYPED_TEST(Buffers, ABufferThatTheForwardPassReplacesByAnother) {
  TrainStep train_step(this->model, this->optimizer, scaled());
  EXPECT_TRUE(train_step([&] {
                this->model->norm->running_mean.set_data(
                    at::full({7}, 2.0, this->model->calls.options().dtype(at::kFloat)));
                const auto weight = this->model->linear->weight;
                return (weight * kInf).sum();
              }).skipped());
  EXPECT_THAT(values(this->model->norm->running_mean), AreExactly(Values{0, 0, 0, 0}));
}

TYPED_TEST(Buffers, OfO2) {
  TrainStep train_step(this->model, this->optimizer, [] {
    auto recipe = Recipe::O2();
    recipe.keep_batchnorm_fp32 = false;
    recipe.scaler.init_scale = 8;
    return recipe;
  }());
  const auto before = this->model->statistics();
  EXPECT_TRUE(train_step(this->step(overflowing())).skipped());
  EXPECT_THAT(this->model->statistics(), AreExactly(before));
}

TEST(ScriptBuffers, AnAssignedOneIsTakenBackToo) {
  torch::jit::Module module("m");
  module.register_parameter("weight", parameter({1.0, 2.0}), false);
  module.register_buffer("sum", tensor({0.0, 0.0}));
  module.register_buffer("count", tensor({0.0}));
  module.define(R"(
    def forward(self, x):
      self.sum = self.sum + x
      self.count += 1
      return (self.weight * x).sum()
  )");
  std::vector<at::Tensor> weights;
  for (const auto& weight : module.parameters()) weights.push_back(weight);
  auto optimizer = sgd(weights);
  TrainStep train_step(module, optimizer, scaled());
  const auto run = [&](const Values& x) {
    return train_step([&] { return module.forward({tensor(x)}).toTensor(); });
  };
  EXPECT_TRUE(run({1.0, 2.0}).stepped());
  EXPECT_TRUE(run({kInf, 2.0}).skipped());
  EXPECT_THAT(values(module.attr("sum").toTensor()), AreExactly(Values{1.0, 2.0}));
  EXPECT_THAT(values(module.attr("count").toTensor()), AreExactly(Values{1.0}));
  EXPECT_TRUE(run({1.0, 2.0}).stepped());
  EXPECT_THAT(values(module.attr("sum").toTensor()), AreExactly(Values{2.0, 4.0}));
}

}  // namespace
}  // namespace amp::tests::buffers_test
