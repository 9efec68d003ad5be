// What step() does to the optimizer, the gradients, the weights' versions and autocast's casts, and
// what it reports.
#include <gtest/gtest.h>
#include <torch/optim/adam.h>
#include <torch/optim/lbfgs.h>

#include "amp/autocast.h"
#include "amp/error.h"
#include "tests/support/here.h"
#include "tests/support/training.h"

namespace amp::tests::step_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(GradScaler, S6_1_ThereIsAFrontEndForCpp) {
  GradScaler scaler;
  auto weight = parameter({1.0});
  auto optimizer = sgd({weight});
  {
    const Autocast autocast(test_device().type());
    scaler.scale((weight * weight).sum()).backward();
  }
  EXPECT_TRUE(scaler.step(optimizer).stepped());
  scaler.update();
  EXPECT_THAT(values(weight), AreExactly(Values{0.75}));
}

TEST(GradScaler, S1_9_AnOverflowSkipsTheStepAndLeavesTheWeights) {
  for (const double bad : {kInf, -kInf, kNaN}) {
    Training training;
    EXPECT_TRUE(training.iterate({1.0, bad, 1.0}).skipped());
    EXPECT_THAT(values(training.weight), AreExactly(Values{1.0, -2.0, 4.0})) << bad;
  }
}

TEST(GradScaler, S1_9_ASkipLeavesTheOptimizersStateAlone) {
  auto weight = parameter({1.0, 2.0});
  torch::optim::Adam optimizer({weight}, torch::optim::AdamOptions(0.1));
  GradScaler scaler({.init_scale = 8.0});
  scaler.scale(at::zeros({}));
  set_gradient(weight, {kInf, 1.0});
  EXPECT_TRUE(scaler.step(optimizer).skipped());
  EXPECT_TRUE(optimizer.state().empty());
}

TEST(GradScaler, S6_12_GradientsAreUnscaledAfterASkip) {
  Training training({.init_scale = 8.0});
  training.backward({kInf, 2.0, -3.0});
  EXPECT_TRUE(training.scaler.step(training.optimizer).skipped());
  EXPECT_THAT(values(training.weight.grad()), AreExactly(Values{kInf, 2.0, -3.0}));
}

TEST(GradScaler, S6_10_TheResultSaysWhetherItStepped) {
  Training training({.init_scale = 512.0});
  const auto clean = training.iterate({1.0, 1.0, 1.0});
  EXPECT_TRUE(clean.stepped());
  EXPECT_FALSE(clean.skipped());
  EXPECT_EQ(clean.reason(), "");
  const auto overflow = training.iterate({kInf, 1.0, 1.0});
  EXPECT_FALSE(overflow.stepped());
  EXPECT_TRUE(overflow.skipped());
  EXPECT_THAT(overflow.reason(), AllOf(HasSubstr("Inf or NaN"), HasSubstr("512")));
}

TEST(GradScaler, S6_13_LbfgsIsRefusedByName) {
  auto weight = parameter({1.0});
  torch::optim::LBFGS optimizer({weight});
  GradScaler scaler({.init_scale = 8.0});
  scaler.scale(at::zeros({}));
  set_gradient(weight, {8.0});
  EXPECT_THAT([&] { scaler.step(optimizer); },
              ThrowsMessage<InvalidArgument>(HasSubstr("GradScaler: LBFGS")));
  EXPECT_THAT(values(weight.grad()), AreExactly(Values{8.0}));
  auto other = sgd({weight});
  EXPECT_TRUE(scaler.step(other).stepped()) << "the scaler is as it was";
}

TEST(GradScaler, S8_10_AnOptimizerWithoutAnyParameterIsRefused) {
  auto optimizer = sgd({});
  GradScaler scaler;
  scaler.scale(at::zeros({}));
  EXPECT_THAT([&] { scaler.step(optimizer); },
              ThrowsMessage<InvalidArgument>(HasSubstr("no parameters")));
}

TEST(GradScaler, S8_10_AnEmptyExtraGroupIsNot) {
  Training training;
  training.optimizer.add_param_group(torch::optim::OptimizerParamGroup(std::vector<at::Tensor>{}));
  EXPECT_TRUE(training.iterate({1.0, 1.0, 1.0}).stepped());
}

// An optimizer whose step fails once.
class Failing : public torch::optim::SGD {
 public:
  explicit Failing(std::vector<at::Tensor> parameters)
      : SGD(std::move(parameters), torch::optim::SGDOptions(0.125)) {}
  at::Tensor step(LossClosure closure) override {
    if (fails) throw std::runtime_error("the step failed");
    return SGD::step(std::move(closure));
  }
  bool fails = true;
};

TEST(GradScaler, S1_9_AfterAStepThatThrowsTheScalerIsUsable) {
  auto weight = parameter({1.0});
  Failing optimizer({weight});
  GradScaler scaler({.init_scale = 8.0, .growth_interval = 1});
  scaler.scale(weight.sum() * 8).backward();
  EXPECT_THROW(scaler.step(optimizer), std::runtime_error);
  EXPECT_THAT(values(weight.grad()), AreExactly(Values{8.0})) << "unscaled, once";
  optimizer.fails = false;
  EXPECT_TRUE(scaler.step(optimizer).stepped()) << "not unscaled again";
  EXPECT_THAT(values(weight), AreExactly(Values{0.0}));
  scaler.update();
  EXPECT_EQ(scaler.get_scale(), 16.0);
}

// LibTorch's SGD writes the weights behind their version counters' back.
TEST(GradScaler, S6_2_AStepBumpsTheVersionsOfWhatItChanged) {
  auto changed = parameter({1.0});
  auto without_gradient = parameter({1.0});
  auto optimizer = sgd({changed, without_gradient});
  for (const bool enabled : {true, false}) {
    GradScaler scaler({.enabled = enabled});
    scaler.scale(at::zeros({}));
    set_gradient(changed, {1.0});
    const auto before = changed._version();
    const auto others = without_gradient._version();
    EXPECT_TRUE(scaler.step(optimizer).stepped());
    EXPECT_GT(changed._version(), before);
    EXPECT_EQ(without_gradient._version(), others);
  }
}

TEST(GradScaler, S6_2_ARegionThatIsStillOpenSeesTheNewWeights) {
  for (const bool enabled : {true, false}) {
    auto weight = here::full({1, 1}, 2.0).requires_grad_();
    auto optimizer = sgd({weight}, 1.0);
    GradScaler scaler({.init_scale = 8.0, .enabled = enabled});
    const Autocast autocast(test_device().type());
    const auto input = here::ones({1, 1});
    EXPECT_EQ(at::mm(input, weight).item<double>(), 2.0);
    scaler.scale(at::zeros({}));
    weight.mutable_grad() = here::full({1, 1}, enabled ? 8.0 : 1.0);
    EXPECT_TRUE(scaler.step(optimizer).stepped());
    EXPECT_EQ(at::mm(input, weight).item<double>(), 1.0) << "and not the cast of the old weight";
  }
}

TEST(GradScaler, S6_2_UpdateDropsTheCastsToo) {
  Training training;
  auto weight = here::full({1, 1}, 2.0).requires_grad_();
  const auto input = here::ones({1, 1});
  const Autocast autocast(test_device().type());
  training.backward({1.0, 1.0, 1.0});
  training.scaler.unscale_(training.optimizer);
  EXPECT_EQ(at::mm(input, weight).item<double>(), 2.0);
  weight.data().fill_(3.0);
  training.scaler.update();
  EXPECT_EQ(at::mm(input, weight).item<double>(), 3.0);
}

}  // namespace
}  // namespace amp::tests::step_test
