// An optimizer with the second interface: the same results as the first, and no flag is read.
#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <cmath>

#include "amp/error.h"
#include "amp/optim.h"
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

// An optimizer that somebody else wrote, with a fused step: W -= lr * gradient.
class OnesOwn : public torch::optim::SGD, public optim::ScaledStep {
 public:
  explicit OnesOwn(std::vector<at::Tensor> parameters)
      : SGD(std::move(parameters), torch::optim::SGDOptions(0.5)) {}

  bool takes_scaled_gradients() const override { return true; }
  bool has_fused_step() const override { return true; }
  void scaled_step(const at::Tensor& inv_scale, const at::Tensor& found_inf) override {
    if (found_inf.item<float>() == 0) update(inv_scale, 1);
  }
  optim::StepOutcome fused_step(const optim::FusedStepOptions& options) override {
    ++fused_steps;
    const auto outcome = examine(options.inv_scale);
    if (outcome.found_inf.item<float>() != 0) return outcome;
    const auto norm = outcome.grad_norm.item<double>();
    const double factor =
        options.max_grad_norm > 0 ? std::min(1.0, options.max_grad_norm / (norm + 1e-6)) : 1;
    update(options.inv_scale, factor);
    return outcome;
  }
  optim::StepOutcome examine(const at::Tensor& inv_scale) override {
    ++looks;
    auto squares = at::zeros({}, at::kDouble);
    wrong.clear();
    for (auto& parameter : param_groups()[0].params()) {
      const auto gradient = unscaled(parameter, inv_scale);
      squares += gradient.square().sum();
      if (!gradient.isfinite().all().item<bool>()) wrong.push_back(parameter);
    }
    return {squares.sqrt().to(at::kFloat), at::full({}, wrong.empty() ? 0.0F : 1.0F)};
  }
  const std::vector<at::Tensor>& non_finite_parameters() const override { return wrong; }

  int fused_steps = 0, looks = 0;
  std::vector<at::Tensor> wrong;

 private:
  static at::Tensor unscaled(const at::Tensor& parameter, const at::Tensor& inv_scale) {
    const auto gradient = parameter.grad().to(at::kDouble);
    return inv_scale.defined() ? gradient * inv_scale.item<double>() : gradient;
  }
  void update(const at::Tensor& inv_scale, double factor) {
    const at::NoGradGuard no_grad;
    for (auto& parameter : param_groups()[0].params()) {
      const auto gradient = unscaled(parameter, inv_scale);
      parameter.sub_((0.5 * factor * gradient).to(parameter.scalar_type()));
      parameter.mutable_grad() = gradient.to(at::kFloat);
    }
  }
};

TEST(ScaledStep, AFusedStepOfOnesOwnIsCalledByTrainStep) {
  auto weight = parameter({3.0, 4.0});
  OnesOwn optimizer({weight});
  torch::nn::Linear unused(1, 1);
  auto recipe = Recipe::fp16();
  recipe.max_grad_norm = 1;
  TrainStep train_step(*unused, optimizer, recipe);
  const auto report = train_step([&] { return (weight * weight).sum() / 2; });  // gradient: weight
  EXPECT_EQ(optimizer.fused_steps, 1);
  EXPECT_NEAR(*report.grad_norm(), 5, 1e-5);
  EXPECT_NEAR(weight[0].item<double>(), 3 - 0.5 * 3 / 5, 1e-5);
  EXPECT_NEAR(weight[1].item<double>(), 4 - 0.5 * 4 / 5, 1e-5);
  const auto skipped = train_step([&] { return weight.sum() * kInf; });
  EXPECT_TRUE(skipped.skipped());
  EXPECT_NEAR(weight[1].item<double>(), 4 - 0.5 * 4 / 5, 1e-5);
}

TEST(ScaledStep, WithAFusedStepFp16GradientsAreTakenAndTheOptimizerSaysWhichAreWrong) {
  auto good = at::ones({2}, at::kHalf).set_requires_grad(true);
  auto bad = at::ones({2}, at::kHalf).set_requires_grad(true);
  OnesOwn optimizer({good, bad});
  GradScaler scaler({.init_scale = 4.0});
  scaler.scale(at::zeros({}));
  good.mutable_grad() = at::full({2}, 2.0, at::kHalf);
  bad.mutable_grad() = at::full({2}, kInf, at::kHalf);
  const auto result = scaler.step(optimizer);
  EXPECT_TRUE(result.skipped());
  EXPECT_EQ(optimizer.looks, 1);
  ASSERT_EQ(result.non_finite_parameters().size(), 1);
  EXPECT_TRUE(result.non_finite_parameters()[0].is_same(bad));
  scaler.update();
  EXPECT_EQ(scaler.get_scale(), 2.0);
}

TEST(GradScaler, FusedStepIsUnscaleClipAndStep) {
  auto first = parameter({1.0, -2.0}), second = parameter({1.0, -2.0});
  optim::SGD fused({first}, optim::SGDOptions{.lr = 0.25});
  optim::SGD apart({second}, optim::SGDOptions{.lr = 0.25});
  GradScaler a({.init_scale = 8.0, .growth_interval = 2}),
      b({.init_scale = 8.0, .growth_interval = 2});
  for (const double gradient : {24.0, 4.0, kInf, 100.0}) {
    a.scale(at::zeros({}));
    b.scale(at::zeros({}));
    set_gradient(first, {gradient, 32.0});
    set_gradient(second, {gradient, 32.0});
    at::Tensor norm;
    const auto result = a.fused_step(fused, 1.5, &norm);
    b.unscale_(apart);
    const auto expected = torch::nn::utils::clip_grad_norm_({second}, 1.5);
    EXPECT_EQ(result.stepped(), b.step(apart).stepped());
    a.update();
    b.update();
    EXPECT_EQ(a.get_scale(), b.get_scale());
    if (std::isfinite(expected)) {
      EXPECT_NEAR(norm.item<double>(), expected, 1e-5);
    }
    EXPECT_TRUE(at::allclose(first, second, 1e-6, 1e-6)) << first << second;
  }
}

TEST(GradScaler, FusedStepRefusesOtherOptimizersAndOtherOrders) {
  auto weight = parameter({1.0});
  torch::optim::SGD stock({weight}, torch::optim::SGDOptions(0.1));
  optim::SGD ours({weight}, optim::SGDOptions{.lr = 0.1});
  GradScaler scaler({.init_scale = 8.0});
  set_gradient(weight, {1.0});
  EXPECT_THAT([&] { scaler.fused_step(ours); },
              testing::ThrowsMessage<StateError>(testing::HasSubstr("fused_step()")));
  scaler.scale(at::zeros({}));
  EXPECT_THAT([&] { scaler.fused_step(stock); },
              testing::ThrowsMessage<InvalidArgument>(
                  testing::HasSubstr("call unscale_(), clip, and call step()")));
  scaler.unscale_(ours);
  EXPECT_THAT([&] { scaler.fused_step(ours); },
              testing::ThrowsMessage<StateError>(
                  testing::HasSubstr("in the place of unscale_() and step()")));
  scaler.discard_iteration();
  EXPECT_EQ(scaler.get_scale(), 8.0);
  scaler.scale(at::zeros({}));
  set_gradient(weight, {1.0});
  EXPECT_TRUE(scaler.fused_step(ours).stepped());
}

TEST(ScaledStep, WithoutAFusedStepItsFunctionsSayWhatToOverride) {
  auto weight = parameter({1.0});
  FusedAdamW optimizer({weight});
  EXPECT_FALSE(optimizer.has_fused_step());
  EXPECT_THAT([&] { static_cast<optim::ScaledStep&>(optimizer).fused_step({}); },
              testing::ThrowsMessage<UnsupportedError>(testing::HasSubstr("has_fused_step()")));
  EXPECT_TRUE(optimizer.non_finite_parameters().empty());
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
