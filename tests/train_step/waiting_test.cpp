// How often a step waits for the device. On the CPU there is nothing to wait for.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "amp/autocast.h"
#include "amp/train_step.h"
#include "tests/support/cuda_waits.h"
#include "tests/support/here.h"
#include "tests/support/mlp.h"

namespace amp::tests::waiting_test {
namespace {

// Comparing copies with fresh casts waits.
const int no_checks = unsetenv("AMP_CHECK_COPIES");

constexpr int kSteps = 10;

// After some steps that set things up.
int waits_of(const std::function<void(int)>& step) {
  for (int i = 0; i < 5; ++i) step(i);
  const int before = cuda_waits;
  for (int i = 5; i < 5 + kSteps; ++i) step(i);
  return cuda_waits - before;
}

std::vector<Batch> batches() {
  std::vector<Batch> all;
  for (int i = 0; i < 5 + kSteps; ++i) all.push_back(batch(i));
  return all;
}

std::unique_ptr<torch::optim::Optimizer> optimizer_named(const std::string& name,
                                                         std::vector<at::Tensor> weights) {
  if (name == "SGD")
    return std::make_unique<optim::SGD>(weights, optim::SGDOptions{.momentum = 0.9});
  if (name == "Lamb") return std::make_unique<optim::Lamb>(weights, optim::LambOptions{});
  return make_optimizer(name, weights);
}

class Waiting : public testing::Test {
 protected:
  void SetUp() override {
    if (on_cpu()) GTEST_SKIP() << "there is no device to wait for";
  }

  int waits_of_train_step(const std::string& optimizer_name, const Recipe& recipe) {
    MlpImpl model;
    const auto optimizer = optimizer_named(optimizer_name, model.parameters());
    TrainStep train_step(model, *optimizer, recipe);
    const auto data = batches();
    return waits_of([&](int i) {
      train_step([&] { return loss_of(model, data[static_cast<std::size_t>(i)]); });
    });
  }

  int waits_of_scaler(const std::string& optimizer_name) {
    MlpImpl model;
    const auto optimizer = optimizer_named(optimizer_name, model.parameters());
    GradScaler scaler({.init_scale = 256});
    const auto data = batches();
    return waits_of([&](int i) {
      optimizer->zero_grad();
      at::Tensor loss;
      {
        const Autocast autocast(kHere, at::kHalf);
        loss = loss_of(model, data[static_cast<std::size_t>(i)]);
      }
      scaler.scale(loss).backward();
      scaler.step(*optimizer);
      scaler.update();
    });
  }
};

TEST_F(Waiting, TheCounterCounts) {
  const auto value = tensor({2});
  const int before = cuda_waits;
  EXPECT_EQ(value.item<double>(), 2.0);
  EXPECT_GT(cuda_waits, before);
}

TEST_F(Waiting, AStepWithAnOptimizerOfOursWaitsForNothing) {
  for (const auto* name : {"SGD", "Adam", "AdamW", "Lamb"}) {
    for (auto recipe : {Recipe::fp32(), Recipe::bf16(), Recipe::fp16()}) {
      for (const double max_grad_norm : {0.0, 0.5}) {
        recipe.max_grad_norm = max_grad_norm;
        EXPECT_EQ(waits_of_train_step(name, recipe), 0)
            << name << " " << recipe.compute_dtype << " clipped to " << max_grad_norm;
      }
    }
  }
}

TEST_F(Waiting, AWindowOfMicroBatchesNeither) {
  auto recipe = Recipe::fp16();
  recipe.accumulation = 3;
  recipe.max_grad_norm = 0.5;
  EXPECT_EQ(waits_of_train_step("AdamW", recipe), 0);
}

TEST_F(Waiting, WithAStockOptimizerAScaledStepWaitsOnce) {
  EXPECT_EQ(waits_of_train_step("adam", Recipe::fp16()), kSteps);
  EXPECT_EQ(waits_of_train_step("sgd", Recipe::fp16()), kSteps);
  EXPECT_EQ(waits_of_train_step("adam", Recipe::bf16()), 0) << "without loss scaling";
}

TEST_F(Waiting, SoDoesAGradScalerOnItsOwn) {
  EXPECT_EQ(waits_of_scaler("AdamW"), 0);
  EXPECT_EQ(waits_of_scaler("adam"), kSteps);
}

}  // namespace
}  // namespace amp::tests::waiting_test
