// An optimizer with the second interface: the same results as the first, and no flag is read.
#include <ATen/record_function.h>
#include <gtest/gtest.h>
#include <torch/optim/adamw.h>

#include "amp/error.h"
#include "amp/train_step.h"
#include "tests/support/fused_adamw.h"
#include "tests/support/mlp.h"
#include "tests/support/training.h"

namespace amp::tests::scaled_step_test {
namespace {

// How often a value was read out of a tensor while it lives: on a device, so often the host waits.
class ReadCounter {
 public:
  ReadCounter() {
    count_ = 0;
    at::enableRecordFunction();
    handle_ = at::addThreadLocalCallback(
        at::RecordFunctionCallback([](const at::RecordFunction& op)
                                       -> std::unique_ptr<at::ObserverContext> {
          const std::string name = op.name();
          if (name == "aten::_local_scalar_dense") ++count_;
          return nullptr;
        }).scopes({at::RecordScope::FUNCTION}));
  }
  ~ReadCounter() { at::removeCallback(handle_); }
  int count() const { return count_; }

 private:
  at::CallbackHandle handle_{};
  inline static thread_local int count_ = 0;
};

TEST(ScaledStep, IsCalledInThePlaceOfStepAndNotOnlyWhenClean) {
  auto weight = parameter({1.0, 2.0});
  FusedAdamW optimizer({weight});
  GradScaler scaler({.init_scale = 8.0});
  scaler.scale(at::zeros({}));
  set_gradient(weight, {8.0, 16.0});
  EXPECT_TRUE(scaler.step(optimizer).stepped());
  scaler.update();
  set_gradient(weight, {kInf, 16.0});
  const auto result = scaler.step(optimizer);
  EXPECT_TRUE(result.skipped());
  EXPECT_EQ(result.reason(), "a gradient was Inf or NaN at loss scale 8");
  EXPECT_EQ(optimizer.scaled_steps, 2);
}

TEST(ScaledStep, S6_12_AfterASkipGradientsAreUnscaledAndNothingElseChanged) {
  for (const bool takes_scaled : {false, true}) {
    auto weight = parameter({1.0, 2.0});
    FusedAdamW optimizer({weight}, {}, takes_scaled);
    GradScaler scaler({.init_scale = 8.0});
    scaler.scale(at::zeros({}));
    set_gradient(weight, {kNaN, 16.0});
    EXPECT_TRUE(scaler.step(optimizer).skipped());
    EXPECT_THAT(values(weight.grad()), AreExactly(Values{kNaN, 2.0})) << takes_scaled;
    EXPECT_THAT(values(weight), AreExactly(Values{1.0, 2.0}));
    EXPECT_THAT(values(optimizer.first_moments()[0]), AreExactly(Values{0.0, 0.0}));
    EXPECT_EQ(optimizer.steps()[0].item<float>(), 0.0F);
    scaler.update();
    EXPECT_EQ(scaler.get_scale(), 4.0);
  }
}

// The same iterations by the fused kernel without a scaler, on gradients unscaled by hand.
TEST(ScaledStep, StepsAsOnUnscaledGradients) {
  for (const bool takes_scaled : {false, true}) {
    for (const bool unscale_first : {false, true}) {
      auto weight = parameter({1.0, -2.0, 3.0}), expected = parameter({1.0, -2.0, 3.0});
      FusedAdamW optimizer({weight}, {}, takes_scaled), reference({expected});
      GradScaler scaler({.init_scale = 1024.0, .growth_interval = 3});
      for (int i = 1; i < 8; ++i) {
        scaler.scale(at::zeros({}));
        set_gradient(weight, {1024.0 * i, 512.0, 3.0});
        set_gradient(expected, {1024.0 * i / scaler.get_scale(), 512.0 / scaler.get_scale(),
                                3.0 / scaler.get_scale()});
        if (unscale_first) scaler.unscale_(optimizer);
        EXPECT_TRUE(scaler.step(optimizer).stepped());
        scaler.update();
        reference.step();
        ASSERT_THAT(weight, IsIdenticalTo(expected)) << takes_scaled << unscale_first << i;
        ASSERT_THAT(weight.grad(), IsIdenticalTo(expected.grad()));
      }
    }
  }
}

TEST(ScaledStep, WithAndWithoutItTheScaleIsTheSame) {
  auto first = parameter({1.0}), second = parameter({1.0});
  FusedAdamW fused({first});
  torch::optim::AdamW stock({second}, torch::optim::AdamWOptions());
  GradScaler a({.init_scale = 64.0, .growth_interval = 2}),
      b({.init_scale = 64.0, .growth_interval = 2});
  for (const double gradient : {1.0, 1.0, kInf, kNaN, 1.0, 1.0, 1.0, -kInf, 1.0}) {
    a.scale(at::zeros({}));
    b.scale(at::zeros({}));
    set_gradient(first, {gradient});
    set_gradient(second, {gradient});
    EXPECT_EQ(a.step(fused).stepped(), b.step(stock).stepped());
    a.update();
    b.update();
    EXPECT_EQ(a.get_scale(), b.get_scale());
  }
}

TEST(GradScaler, S1_9_AStockOptimizerCostsOneReadOfTheFlagAStep) {
  Training training;
  training.iterate({1.0, 2.0, 3.0});
  training.optimizer.zero_grad();
  training.backward({1.0, 2.0, 3.0});
  const ReadCounter reads;
  training.scaler.unscale_(training.optimizer);
  EXPECT_EQ(reads.count(), 0);
  training.scaler.step(training.optimizer);
  training.scaler.update();
  EXPECT_EQ(reads.count(), 1);
}

TEST(ScaledStep, OnADeviceNothingIsRead) {
  if (test_device().is_cpu()) GTEST_SKIP() << "on the CPU reading is free, and it is done";
  auto weight = parameter({1.0, 2.0});
  FusedAdamW optimizer({weight});
  GradScaler scaler({.init_scale = 8.0, .max_consecutive_skips = 100});
  scaler.scale(tensor({1.0}));
  set_gradient(weight, {8.0, 16.0});
  const ReadCounter reads;
  StepResult result;
  for (int i = 0; i < 5; ++i) {
    scaler.scale(tensor({1.0}));
    result = scaler.step(optimizer);
    scaler.update();
  }
  EXPECT_FALSE(result.ready());
  EXPECT_EQ(reads.count(), 0);
  EXPECT_TRUE(result.stepped());
  EXPECT_GT(reads.count(), 0);
}

TEST(ScaledStep, AnotherOptimizersOverflowDoesNotSkipItButBacksOffForAll) {
  auto first = parameter({1.0}), second = parameter({1.0});
  FusedAdamW fused({first});
  auto stock = sgd({second});
  GradScaler scaler({.init_scale = 8.0});
  scaler.scale(at::zeros({}));
  set_gradient(first, {8.0});
  set_gradient(second, {kInf});
  EXPECT_TRUE(scaler.step(fused).stepped());
  EXPECT_TRUE(scaler.step(stock).skipped());
  scaler.update();
  EXPECT_EQ(scaler.get_scale(), 4.0);
}

TEST(ScaledStep, TrainStepGivesTheSeparateCalls) {
  Mlp by_calls, by_step;
  FusedAdamW first(by_calls->parameters()), second(by_step->parameters());
  GradScaler scaler;
  auto recipe = Recipe::fp16();
  recipe.compute_dtype = at::kFloat;
  TrainStep train_step(*by_step, second, recipe);
  for (int i = 0; i < 5; ++i) {
    const auto data = batch(i);
    first.zero_grad();
    scaler.scale(loss_of(*by_calls, data)).backward();
    scaler.step(first);
    scaler.update();
    const auto report = train_step([&] { return loss_of(*by_step, data); });
    EXPECT_TRUE(report.stepped());
    EXPECT_EQ(report.scale(), scaler.get_scale());
  }
  EXPECT_EQ(weights_of(*by_calls), weights_of(*by_step));
}

}  // namespace
}  // namespace amp::tests::scaled_step_test
