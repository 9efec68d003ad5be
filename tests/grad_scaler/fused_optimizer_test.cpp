// GradScaler with the optimizers of amp::optim: fp16 gradients, skips, clipping in between.
#include <torch/nn/utils/clip_grad.h>

#include "amp/error.h"
#include "amp/optim.h"
#include "amp/train_step.h"
#include "tests/support/mlp.h"
#include "tests/support/training.h"

namespace amp::tests::fused_optimizer_test {
namespace {

using optim::AdamW;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(FusedOptimizer, StepsAsOnUnscaledGradients) {
  for (const bool unscale_first : {false, true}) {
    auto weight = parameter({1.0, -2.0, 3.0}), expected = parameter({1.0, -2.0, 3.0});
    AdamW optimizer({weight}), reference({expected});
    GradScaler scaler({.init_scale = 1024.0, .growth_interval = 3});
    for (int i = 1; i < 8; ++i) {
      const double s = scaler.get_scale();
      scaler.scale(at::zeros({}));
      set_gradient(weight, {1024.0 * i, 512.0, 3.0});
      set_gradient(expected, {1024.0 * i / s, 512.0 / s, 3.0 / s});
      if (unscale_first) scaler.unscale_(optimizer);
      EXPECT_TRUE(scaler.step(optimizer).stepped());
      scaler.update();
      reference.step();
      ASSERT_THAT(weight, IsIdenticalTo(expected)) << unscale_first << i;
      ASSERT_THAT(weight.grad(), IsIdenticalTo(expected.grad()));
    }
  }
}

TEST(FusedOptimizer, S6_12_ASkipLeavesUnscaledGradientsAndNothingElse) {
  for (const bool unscale_first : {false, true}) {
    auto weight = parameter({1.0, 2.0});
    AdamW optimizer({weight});
    GradScaler scaler({.init_scale = 8.0});
    scaler.scale(at::zeros({}));
    set_gradient(weight, {kInf, 16.0});
    if (unscale_first) scaler.unscale_(optimizer);
    const auto result = scaler.step(optimizer);
    EXPECT_TRUE(result.skipped());
    EXPECT_EQ(result.reason(), "a gradient was Inf or NaN at loss scale 8");
    EXPECT_THAT(values(weight.grad()), AreExactly(Values{kInf, 2.0}));
    EXPECT_THAT(values(weight), AreExactly(Values{1.0, 2.0}));
    scaler.update();
    EXPECT_EQ(scaler.get_scale(), 4.0);
  }
}

// By an optimizer of ours and by a stock one, divided before or not.
TEST(FusedOptimizer, ASkipNamesItsParameters) {
  for (const bool unscale_first : {false, true}) {
    auto a = parameter({1.0}), b = parameter({1.0, 2.0}), c = parameter({3.0}),
         d = parameter({4.0});
    AdamW ours({a, b, c, d});
    auto stock = sgd({a, b, c, d});
    for (torch::optim::Optimizer* optimizer : {static_cast<torch::optim::Optimizer*>(&ours),
                                               static_cast<torch::optim::Optimizer*>(&stock)}) {
      GradScaler scaler({.init_scale = 8.0});
      scaler.scale(at::zeros({}));
      set_gradient(a, {1.0});
      set_gradient(b, {1.0, kNaN});
      c.mutable_grad().reset();
      set_gradient(d, {-kInf});
      if (unscale_first) scaler.unscale_(*optimizer);
      const auto found = scaler.step(*optimizer).non_finite_parameters();
      ASSERT_EQ(found.size(), 2u) << unscale_first;
      EXPECT_TRUE(found[0].is_same(b));
      EXPECT_TRUE(found[1].is_same(d));
      scaler.update();
      set_gradient(b, {1.0, 1.0});
      set_gradient(d, {1.0});
      EXPECT_TRUE(scaler.step(*optimizer).non_finite_parameters().empty());
      scaler.update();
    }
  }
}

TEST(FusedOptimizer, S6_9_OverflowMadeByUnscalingIsFound) {
  auto weight = parameter({1.0});
  optim::SGD optimizer({weight});
  GradScaler scaler({.init_scale = 0x1p-100});
  scaler.scale(at::zeros({}));
  set_gradient(weight, {1e10});
  EXPECT_TRUE(scaler.step(optimizer).skipped());
}

TEST(FusedOptimizer, S8_5_Fp16GradientsBecomeUnscaledFp32Ones) {
  for (const bool unscale_first : {false, true}) {
    auto weight = parameter({1.0, 2.0}, at::kHalf);
    optim::SGD optimizer({weight}, {.lr = 0.5});
    GradScaler scaler({.init_scale = 65536.0});
    scaler.scale(at::zeros({}));
    // Unscaled, the second is no fp16 number.
    set_gradient(weight, {32768.0, 0x1p-14});
    if (unscale_first) {
      scaler.unscale_(optimizer);
      EXPECT_THAT(weight.grad(), IsIdenticalTo(tensor({0.5, 0x1p-30})));
    }
    EXPECT_TRUE(scaler.step(optimizer).stepped());
    EXPECT_THAT(weight.grad(), IsIdenticalTo(tensor({0.5, 0x1p-30})));
    EXPECT_THAT(optimizer.fp32_weight(weight), IsIdenticalTo(tensor({0.75, 2.0})));
    EXPECT_THAT(weight.detach(), IsIdenticalTo(tensor({0.75, 2.0}, at::kHalf)));
    scaler.update();
  }
}

TEST(FusedOptimizer, S8_5_SparseFp16GradientsAreSummedInFp32) {
  for (const bool unscale_first : {false, true}) {
    auto table = at::zeros({4, 1}, at::kHalf).to(test_device()).requires_grad_();
    optim::SGD optimizer({table}, {.lr = 1.0});
    GradScaler scaler({.init_scale = 65536.0});
    scaler.scale(at::zeros({}));
    // Row 2 twice: the sum of both is beyond fp16.
    const auto rows = at::tensor({2, 2}, at::kLong).view({1, 2}).to(test_device());
    const auto scaled = tensor({60000.0, 60000.0}, at::kHalf).view({2, 1});
    table.mutable_grad() = at::sparse_coo_tensor(rows, scaled, {4, 1});
    if (unscale_first) scaler.unscale_(optimizer);
    EXPECT_TRUE(scaler.step(optimizer).stepped());
    EXPECT_TRUE(table.grad().is_sparse());
    EXPECT_THAT(table.grad().to_dense().view(-1),
                IsIdenticalTo(tensor({0.0, 0.0, 120000.0 / 65536, 0.0})));
    EXPECT_THAT(optimizer.fp32_weight(table).view(-1),
                IsIdenticalTo(tensor({0.0, 0.0, -120000.0 / 65536, 0.0})));
  }
}

TEST(FusedOptimizer, S8_5_StockOptimizersFp16GradientsAreRefusedWithTheRemedy) {
  auto weight = parameter({1.0, 2.0}, at::kHalf);
  auto optimizer = sgd({weight});
  GradScaler scaler;
  scaler.scale(at::zeros({}));
  set_gradient(weight, {1.0, 2.0});
  EXPECT_THAT([&] { scaler.unscale_(optimizer); },
              ThrowsMessage<InvalidArgument>(HasSubstr("Use an optimizer of amp::optim")));
}

// fp16 ones are replaced by the step; the other optimizer must still know them.
TEST(FusedOptimizer, AGradientIsNotDividedForTwoOptimizers) {
  auto weight = parameter({1.0, 2.0}, at::kHalf);
  AdamW first({weight}), second({weight});
  GradScaler scaler({.init_scale = 8.0});
  scaler.scale(at::zeros({}));
  set_gradient(weight, {8.0, 16.0});
  scaler.step(first);
  EXPECT_THAT([&] { scaler.step(second); },
              ThrowsMessage<StateError>(HasSubstr("was already divided by the loss scale")));
}

TEST(FusedOptimizer, ClippingInBetweenIsSeen) {
  auto weight = parameter({1.0, 2.0});
  optim::SGD optimizer({weight}, {.lr = 1.0});
  GradScaler scaler({.init_scale = 8.0});
  scaler.scale(at::zeros({}));
  set_gradient(weight, {24.0, 32.0});
  scaler.unscale_(optimizer);
  torch::nn::utils::clip_grad_norm_({weight}, 2.5);
  EXPECT_TRUE(scaler.step(optimizer).stepped());
  EXPECT_THAT(values(weight), AreWithin(1e-6, Values{-0.5, 0.0}));
}

TEST(FusedOptimizer, AccumulatedFp16GradientsAreTheirSum) {
  auto weight = parameter({1.0, 2.0}, at::kHalf);
  optim::SGD optimizer({weight}, {.lr = 1.0});
  GradScaler scaler({.init_scale = 16.0});
  for (int i = 0; i < 2; ++i)
    scaler.scale((weight * tensor({0.25, 0.5}, at::kHalf)).sum()).backward();
  EXPECT_EQ(weight.grad().scalar_type(), at::kHalf);
  EXPECT_TRUE(scaler.step(optimizer).stepped());
  EXPECT_THAT(values(optimizer.fp32_weight(weight)), AreExactly(Values{0.5, 1.0}));
}

TEST(FusedOptimizer, ItsVersionsAreRaisedOnceAStepAndNotOnASkip) {
  auto weight = parameter({1.0, 2.0});
  AdamW optimizer({weight});
  GradScaler scaler({.init_scale = 8.0});
  scaler.scale(at::zeros({}));
  const auto before = weight._version();
  set_gradient(weight, {kInf, 16.0});
  scaler.step(optimizer);
  scaler.update();
  // On a device the step writes what was there.
  const auto skipped = test_device().is_cpu() ? before : weight._version();
  EXPECT_EQ(weight._version(), skipped);
  set_gradient(weight, {8.0, 16.0});
  scaler.step(optimizer);
  EXPECT_GT(weight._version(), before);
}

// O3 scales with an optimizer that keeps the masters itself: as O2, which keeps them outside.
TEST(FusedOptimizer, O3WithLossScalingTrainsAsO2) {
  Mlp inside, outside;
  AdamW first(inside->parameters(), {.lr = 0.01}), second(outside->parameters(), {.lr = 0.01});
  auto o3 = Recipe::O3();
  o3.loss_scaling = LossScaling::dynamic;
  auto o2 = Recipe::O2();
  o2.scaler = o3.scaler = {.init_scale = 1024};
  o2.keep_batchnorm_fp32 = o3.keep_batchnorm_fp32;
  TrainStep with_inside(*inside, first, o3), with_outside(*outside, second, o2);
  // O3 rounds the first weights before it knows them, O2 after: the Mlp's are fp16 numbers.
  for (int i = 0; i < 5; ++i) {
    const auto a = with_inside([&] { return loss_of(*inside, batch(i)); });
    const auto b = with_outside([&] { return loss_of(*outside, batch(i)); });
    EXPECT_TRUE(a.stepped());
    EXPECT_EQ(a.loss().item<float>(), b.loss().item<float>());
  }
  EXPECT_EQ(weights_of(*inside), weights_of(*outside));
}

}  // namespace
}  // namespace amp::tests::fused_optimizer_test
