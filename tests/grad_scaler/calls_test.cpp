// The order of the calls: which are allowed in which state, what they say when they are not, and
// that a refused call leaves the scaler as it was.
#include <gtest/gtest.h>

#include "amp/error.h"
#include "tests/support/training.h"

namespace amp::tests::calls_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

auto says(const std::string& what) { return ThrowsMessage<StateError>(HasSubstr(what)); }

TEST(GradScaler, S1_T1_UnscaleInReadyDividesByTheScale) {
  Training training({.init_scale = 8.0});
  training.backward({1.0, 2.0, 3.0});
  training.scaler.unscale_(training.optimizer);
  EXPECT_THAT(values(training.weight.grad()), AreExactly(Values{1.0, 2.0, 3.0}));
}

TEST(GradScaler, S1_T1_UnscaleInUnscaledIsRefused) {
  Training training;
  training.backward({1.0, 2.0, 3.0});
  training.scaler.unscale_(training.optimizer);
  EXPECT_THAT([&] { training.scaler.unscale_(training.optimizer); },
              says("unscale_() has already been called on this optimizer since the last update()"));
  EXPECT_THAT(values(training.weight.grad()), AreExactly(Values{1.0, 2.0, 3.0}));
  EXPECT_TRUE(training.scaler.step(training.optimizer).stepped());
}

TEST(GradScaler, S1_T1_UnscaleInSteppedIsRefused) {
  Training training;
  training.backward({1.0, 2.0, 3.0});
  training.scaler.step(training.optimizer);
  EXPECT_THAT([&] { training.scaler.unscale_(training.optimizer); },
              says("unscale_() is being called after step()"));
  EXPECT_THAT(values(training.weight.grad()), AreExactly(Values{1.0, 2.0, 3.0}));
  EXPECT_NO_THROW(training.scaler.update());
}

TEST(GradScaler, S1_T2_StepInReadyUnscalesFirst) {
  Training training({.init_scale = 8.0});
  training.backward({8.0, 16.0, -8.0});
  const auto result = training.scaler.step(training.optimizer);
  EXPECT_TRUE(result.stepped());
  EXPECT_THAT(values(training.weight), AreExactly(Values{0.0, -4.0, 5.0}));
}

TEST(GradScaler, S1_T2_StepInUnscaledDoesNotUnscaleAgain) {
  Training training({.init_scale = 8.0});
  training.backward({8.0, 16.0, -8.0});
  training.scaler.unscale_(training.optimizer);
  EXPECT_TRUE(training.scaler.step(training.optimizer).stepped());
  EXPECT_THAT(values(training.weight), AreExactly(Values{0.0, -4.0, 5.0}));
}

// The flag is taken when unscaling: what the user does to the gradients after that is the user's.
TEST(GradScaler, S1_T2_StepInUnscaledSkipsByWhatUnscaleFound) {
  Training training;
  training.backward({kNaN, 1.0, 1.0});
  training.scaler.unscale_(training.optimizer);
  set_gradient(training.weight, {1.0, 1.0, 1.0});
  EXPECT_TRUE(training.scaler.step(training.optimizer).skipped());
  EXPECT_THAT(values(training.weight), AreExactly(Values{1.0, -2.0, 4.0}));
}

TEST(GradScaler, S1_T2_StepInSteppedIsRefused) {
  Training training;
  training.backward({8.0, 8.0, 8.0});
  training.scaler.step(training.optimizer);
  EXPECT_THAT([&] { training.scaler.step(training.optimizer); },
              says("step() has already been called on this optimizer since the last update()"));
  EXPECT_THAT(values(training.weight), AreExactly(Values{0.0, -3.0, 3.0})) << "stepped once";
}

TEST(GradScaler, S1_T3_UpdateWithoutAnyCheckIsRefused) {
  Training training;
  training.backward({1.0, 2.0, 3.0});
  EXPECT_THAT([&] { training.scaler.update(); }, says("without an inf check"));
  EXPECT_TRUE(training.scaler.step(training.optimizer).stepped());
  EXPECT_NO_THROW(training.scaler.update());
  EXPECT_THAT([&] { training.scaler.update(); }, says("without an inf check"));
}

TEST(GradScaler, S1_T3_UpdateAfterUnscaleAloneCountsItsCheck) {
  Training training({.init_scale = 8.0, .growth_interval = 1});
  training.backward({1.0, 2.0, 3.0});
  training.scaler.unscale_(training.optimizer);
  training.scaler.update();
  EXPECT_EQ(training.scaler.get_scale(), 16.0);
  training.optimizer.zero_grad();
  training.backward({kInf, 2.0, 3.0});
  training.scaler.unscale_(training.optimizer);
  training.scaler.update();
  EXPECT_EQ(training.scaler.get_scale(), 8.0);
  EXPECT_THAT(values(training.weight), AreExactly(Values{1.0, -2.0, 4.0}));
}

TEST(GradScaler, S1_T3_UpdateAfterStepGrowsOrBacksOff) {
  Training training({.init_scale = 8.0, .growth_interval = 2});
  training.iterate({1.0, 1.0, 1.0});
  EXPECT_EQ(training.scaler.get_scale(), 8.0);
  training.iterate({1.0, 1.0, 1.0});
  EXPECT_EQ(training.scaler.get_scale(), 16.0);
  training.iterate({1.0, -kInf, 1.0});
  EXPECT_EQ(training.scaler.get_scale(), 8.0);
}

TEST(GradScaler, S1_4_UpdateDiscardsTheStateOfEveryOptimizer) {
  auto first = parameter({1.0});
  auto second = parameter({2.0});
  auto one = sgd({first});
  auto other = sgd({second});
  GradScaler scaler({.init_scale = 2.0});
  scaler.scale((first * second).sum()).backward();
  scaler.unscale_(one);
  scaler.step(other);
  scaler.update();
  set_gradient(first, {2.0});
  set_gradient(second, {2.0});
  EXPECT_NO_THROW(scaler.unscale_(one));
  EXPECT_NO_THROW(scaler.unscale_(other));
}

TEST(GradScaler, S1_4_OneOptimizersOverflowSkipsItAloneButBacksOffForAll) {
  auto first = parameter({1.0});
  auto second = parameter({2.0});
  auto one = sgd({first});
  auto other = sgd({second});
  GradScaler scaler({.init_scale = 2.0});
  scaler.scale(first.sum());
  set_gradient(first, {kInf});
  set_gradient(second, {16.0});
  EXPECT_TRUE(scaler.step(one).skipped());
  EXPECT_TRUE(scaler.step(other).stepped());
  EXPECT_THAT(values(first), AreExactly(Values{1.0}));
  EXPECT_THAT(values(second), AreExactly(Values{1.0}));
  scaler.update();
  EXPECT_EQ(scaler.get_scale(), 1.0);
}

// Python's divides such a gradient twice and says nothing.
TEST(GradScaler, S1_7_AParameterOfTwoOptimizersIsNotDividedTwice) {
  auto shared = parameter({1.0}), other = parameter({1.0});
  auto first = sgd({shared}), second = sgd({other, shared});
  GradScaler scaler({.init_scale = 8.0});
  scaler.scale(at::zeros({}));
  set_gradient(shared, {16.0});
  set_gradient(other, {24.0});
  scaler.unscale_(first);
  const auto refusal =
      ThrowsMessage<StateError>(AllOf(HasSubstr("parameter 1 in group 0"),
                                      HasSubstr("another optimizer"), HasSubstr("zero_grad()")));
  EXPECT_THAT([&] { scaler.unscale_(second); }, refusal);
  EXPECT_THAT([&] { scaler.step(second); }, refusal);
  EXPECT_THAT(values(shared.grad()), AreExactly(Values{2.0}));
  EXPECT_THAT(values(other.grad()), AreExactly(Values{24.0}));
  EXPECT_TRUE(scaler.step(first).stepped());
  scaler.update();
  // Alone in the next iteration, or with a gradient of its own, it is fine.
  scaler.unscale_(second);
  EXPECT_THAT(values(other.grad()), AreExactly(Values{3.0}));
  set_gradient(shared, {16.0});
  scaler.unscale_(first);
  EXPECT_THAT(values(shared.grad()), AreExactly(Values{2.0}));
}

TEST(GradScaler, S1_7_AParameterThatAnOptimizerHoldsTwiceIsDividedOnce) {
  auto weight = parameter({1.0}), other = parameter({1.0});
  auto optimizer = sgd({weight, other, weight});
  GradScaler scaler({.init_scale = 8.0});
  scaler.scale(at::zeros({}));
  set_gradient(weight, {16.0});
  set_gradient(other, {8.0});
  scaler.unscale_(optimizer);
  EXPECT_THAT(values(weight.grad()), AreExactly(Values{2.0}));
  EXPECT_THAT(values(other.grad()), AreExactly(Values{1.0}));
}

TEST(GradScaler, S1_5_NothingWorksBeforeTheFirstScale) {
  Training training;
  set_gradient(training.weight, {8.0, 8.0, 8.0});
  const auto early = [](const std::string& call) {
    return ThrowsMessage<StateError>(
        AllOf(HasSubstr(call), HasSubstr("before the first scale()"), HasSubstr("scale(loss)")));
  };
  EXPECT_THAT([&] { training.scaler.unscale_(training.optimizer); }, early("unscale_()"));
  EXPECT_THAT([&] { training.scaler.step(training.optimizer); }, early("step()"));
  EXPECT_THAT([&] { training.scaler.update(); }, early("update()"));
  EXPECT_THAT([&] { training.scaler.update(8.0); }, early("update()"));
  EXPECT_THAT(values(training.weight.grad()), AreExactly(Values{8.0, 8.0, 8.0}));
  training.scaler.scale(training.weight.sum());
  EXPECT_TRUE(training.scaler.step(training.optimizer).stepped());
  EXPECT_THAT(values(training.weight), AreExactly(Values{0.875, -2.125, 3.875}));
}

TEST(GradScaler, S1_6_StepWithoutAnyGradientIsRefused) {
  Training training;
  training.scaler.scale(training.weight.sum());
  EXPECT_THAT([&] { training.scaler.step(training.optimizer); },
              says("no parameter of this optimizer has a gradient"));
  EXPECT_NO_THROW(training.scaler.state_dict()) << "as before the call";
  training.backward({8.0, 8.0, 8.0});
  EXPECT_TRUE(training.scaler.step(training.optimizer).stepped());
}

// torch allows unscale_ without gradients, and so do we; it checks nothing, which step and update
// then say as long as there is none.
TEST(GradScaler, S1_6_UnscaleWithoutAnyGradientChecksNothing) {
  Training training;
  training.scaler.scale(training.weight.sum());
  training.scaler.unscale_(training.optimizer);
  EXPECT_THAT([&] { training.scaler.step(training.optimizer); }, says("has a gradient"));
  EXPECT_THAT([&] { training.scaler.update(); }, says("without an inf check"));
  EXPECT_THAT([&] { training.scaler.unscale_(training.optimizer); }, says("already been called"));
}

TEST(GradScaler, S1_11_UpdateToAValueSetsTheScale) {
  Training training({.init_scale = 8.0, .growth_interval = 3});
  training.iterate({1.0, 1.0, 1.0});
  training.scaler.update(48.0);
  EXPECT_EQ(training.scaler.get_scale(), 48.0);
  training.iterate({1.0, 1.0, 1.0});
  training.iterate({1.0, 1.0, 1.0});
  EXPECT_EQ(training.scaler.get_scale(), 96.0) << "the tracker stayed at 1 and reached 3";
}

TEST(GradScaler, S8_4_UpdateToAValueNeedsNoCheckAndEndsTheIteration) {
  Training training({.init_scale = 8.0});
  training.backward({kInf, 1.0, 1.0});
  training.scaler.unscale_(training.optimizer);
  training.scaler.update(32.0);
  EXPECT_EQ(training.scaler.get_scale(), 32.0) << "the recorded overflow is gone";
  EXPECT_EQ(training.scaler.state_dict().growth_tracker, 0);
  EXPECT_TRUE(training.iterate({1.0, 1.0, 1.0}).stepped());
  training.scaler.update(64.0);
  EXPECT_EQ(training.scaler.get_scale(), 64.0);
}

TEST(GradScaler, S8_4_UpdateToAnUnusableValueIsRefused) {
  Training training({.init_scale = 8.0, .min_scale = 2.0, .max_scale = 1024.0});
  training.backward({kInf, 1.0, 1.0});
  training.scaler.unscale_(training.optimizer);
  for (const double scale : {0.0, -1.0, kInf, kNaN}) {
    EXPECT_THAT([&] { training.scaler.update(scale); },
                ThrowsMessage<InvalidArgument>(HasSubstr("new_scale must be finite and positive")));
  }
  for (const double scale : {1.0, 2048.0}) {
    EXPECT_THAT([&] { training.scaler.update(scale); },
                ThrowsMessage<InvalidArgument>(HasSubstr("[2, 1024]")));
  }
  EXPECT_EQ(training.scaler.get_scale(), 8.0);
  training.scaler.update();
  EXPECT_EQ(training.scaler.get_scale(), 4.0) << "the recorded overflow was still there";
}

TEST(GradScaler, S8_2_TooManySkipsInARowThrowAfterTheWorkIsDone) {
  Training training({.init_scale = 64.0, .max_consecutive_skips = 3});
  const Values bad = {kNaN, 1.0, 1.0};
  training.iterate(bad);
  training.iterate(bad);
  EXPECT_THAT([&] { training.iterate(bad); },
              ThrowsMessage<NumericalError>(AllOf(HasSubstr("3 steps in a row"), HasSubstr("8"))));
  EXPECT_EQ(training.scaler.get_scale(), 8.0);
  EXPECT_EQ(training.scaler.state_dict().consecutive_skips, 3) << "the iteration is over";
  EXPECT_TRUE(training.iterate({1.0, 1.0, 1.0}).stepped());
  EXPECT_EQ(training.scaler.state_dict().consecutive_skips, 0);
  training.iterate(bad);
  EXPECT_NO_THROW(training.iterate(bad)) << "the count began again";
}

TEST(GradScaler, S8_2_ByDefaultNoNumberOfSkipsThrows) {
  Training training;
  for (int i = 0; i < 200; ++i) EXPECT_NO_THROW(training.iterate({kInf, kInf, kInf}));
}

}  // namespace
}  // namespace amp::tests::calls_test
