// Doctor: trainings whose fault is known, found by experiment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>

#include "tests/doctor/training.h"

namespace amp::tests::doctor_test {
namespace {

using testing::HasSubstr;

TEST(Doctor, FindsNothingInAGoodTraining) {
  for (const auto& recipe : {Recipe::fp32(), Recipe::bf16(), Recipe::fp16(), Recipe::O2()}) {
    const auto found = examined({.recipe = recipe, .learning_rate = 0.3});
    EXPECT_EQ(found.diagnosis.verdict, Verdict::clean) << found.diagnosis.sentence;
    EXPECT_TRUE(found.remedies.empty());
  }
}

// A dynamic scale's first overflows hide nothing.
TEST(Doctor, AHarmlessFirstOverflowDoesNotHideTheFaultThatLasts) {
  const auto found = examined({.middle = [](NetImpl&, const at::Tensor& y, std::int64_t step) {
    const auto louder = (y * 1e-5) * 1e5 + y;  // overflows at 65536 once or twice
    return step >= 20 ? louder / (louder - louder) : louder;
  }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::model_nan) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.step, 20);
  EXPECT_EQ(found.diagnosis.op, "div");
  EXPECT_EQ(found.diagnosis.fp32_too, true);
}

TEST(Doctor, AnEpsilonThatIsFlushedIsNoNumberWithoutAValue) {
  const auto found = examined({.middle = [](NetImpl&, const at::Tensor& y, std::int64_t) {
    const auto rest = y - y;
    return y + rest / (rest + 1e-8);
  }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::flushed_constant) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.op, "div");
  EXPECT_EQ(found.diagnosis.fp32_too, false);
  EXPECT_TRUE(tried_and_cured(found)) << found.diagnosis.sentence;
}

// E[x^2] - E[x]^2 of numbers near 100 is not negative in fp32.
TEST(Doctor, AVarianceThatCancels) {
  const auto found = examined({.middle =
                                   [](NetImpl&, const at::Tensor& y, std::int64_t) {
                                     const auto x = (y * 0.01 + 1) * 100;
                                     const auto mean = x.mean(-1, true);
                                     const auto variance = (x * x).mean(-1, true) - mean * mean;
                                     return (x - mean) * at::rsqrt(variance + 1e-3);
                                   },
                               .recipe = Recipe::bf16()});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::precision_loss) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.fp32_too, false);
}

TEST(Doctor, AnOverflowIsCuredByItsOpInFp32) {
  const auto found = examined({.middle = [](NetImpl&, const at::Tensor& y, std::int64_t) {
    return at::mul(at::mul(y, 1e6), 1e-6) + y;
  }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::forward_overflow) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.op, "mul");
  EXPECT_EQ(found.diagnosis.fp32_too, false);
  ASSERT_TRUE(tried_and_cured(found));
  ASSERT_TRUE(found.remedies.front().recipe.has_value());
  EXPECT_THAT(found.remedies.front().advice, HasSubstr("mul"));
}

TEST(Doctor, AScaleFarTooLarge) {
  auto recipe = Recipe::fp16();
  recipe.loss_scaling = LossScaling::fixed;
  recipe.static_scale = 0x1p30;
  const auto found = examined({.recipe = recipe});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::scale_overflow) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.fp32_too, false);
  EXPECT_TRUE(tried_and_cured(found));
}

TEST(Doctor, GradientsBelowFp16) {
  auto recipe = Recipe::fp16();
  recipe.loss_scaling = LossScaling::fixed;
  recipe.static_scale = 1;
  const auto found = examined({.recipe = recipe,
                               .learning_rate = 1e6,
                               .loss = [](const at::Tensor& logits, const at::Tensor& targets) {
                                 return at::cross_entropy_loss(logits, targets) * 1e-7;
                               }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::underflow) << found.diagnosis.sentence;
  EXPECT_TRUE(tried_and_cured(found));
}

TEST(Doctor, ALearningRateFarTooLargeIsFp32sFaultToo) {
  for (const auto& recipe : {Recipe::fp32(), Recipe::bf16(), Recipe::fp16()}) {
    const auto found = examined({.recipe = recipe,
                                 .learning_rate = 500,
                                 .loss = [](const at::Tensor& logits, const at::Tensor&) {
                                   return logits.to(at::kFloat).square().mean();
                                 }});
    EXPECT_EQ(found.diagnosis.verdict, Verdict::divergence) << found.diagnosis.sentence;
    EXPECT_EQ(found.diagnosis.fp32_too, true);
  }
}

TEST(Doctor, ALossThatIsMeantToFallBelowZeroIsNoDivergence) {
  const auto found =
      examined({.recipe = Recipe::bf16(), .loss = [](const at::Tensor& logits, const at::Tensor&) {
                  return logits.to(at::kFloat).mean() * 10;
                }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::clean) << found.diagnosis.sentence;
}

TEST(Doctor, AnExaminationThatIsCancelledSaysWhatWasKnown) {
  int asked = 0;
  const auto cancelled = examined({.recipe =
                                       [] {
                                         auto recipe = Recipe::fp16();
                                         recipe.loss_scaling = LossScaling::fixed;
                                         recipe.static_scale = 1e9;
                                         return recipe;
                                       }(),
                                   .is_cancelled = [&] { return ++asked > 3; }});
  EXPECT_EQ(cancelled.diagnosis.verdict, Verdict::scale_overflow);  // by the recording
  EXPECT_EQ(cancelled.replays, 2);
  EXPECT_TRUE(cancelled.remedies.empty());
  ASSERT_FALSE(cancelled.notes.empty());
  EXPECT_THAT(cancelled.notes.back(), HasSubstr("interrupted"));

  const auto silent = examined({.is_cancelled = [] { return true; }});
  EXPECT_EQ(silent.diagnosis.verdict, Verdict::clean);
  EXPECT_EQ(silent.diagnosis.sentence, "nothing was found in 40 steps yet");
}

TEST(Doctor, OneBadSampleIsNamed) {
  const auto found =
      examined({.recipe = Recipe::bf16(), .spoil = [](at::Tensor& x, std::int64_t step) {
                  if (step >= 6) x[11][2] = std::nan("");
                }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::bad_data) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.step, 6);
  EXPECT_EQ(found.diagnosis.sample, 11);
}

TEST(Doctor, OnlyEvaluationGoesWrong) {
  const auto found =
      examined({.middle = [](NetImpl& net, const at::Tensor& y,
                             std::int64_t) { return net.is_training() ? y : y / (y - y); },
                .recipe = Recipe::bf16()});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::eval_only) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.op, "div");
}

TEST(Doctor, ALossOfNothing) {
  const auto found =
      examined({.recipe = Recipe::bf16(), .loss = [](const at::Tensor& logits, const at::Tensor&) {
                  return logits.sum() * 0;
                }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::not_learning) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.fp32_too, true);
}

TEST(Doctor, WeightsWithoutMastersStandStill) {
  auto recipe = Recipe::bf16();
  recipe.model_dtype = c10::kBFloat16;
  const auto found = examined({.recipe = recipe, .learning_rate = 1e-4});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::precision_loss) << found.diagnosis.sentence;
  EXPECT_THAT(found.diagnosis.sentence, HasSubstr("hardly move"));
}

TEST(Doctor, WhatTheModelThrowsIsAVerdict) {
  const auto found = examined({.middle = [](NetImpl&, const at::Tensor& y, std::int64_t) {
    return y.to(at::kHalf).masked_fill(y > 2, -1e10);
  }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::forward_overflow) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.op, "masked_fill");
  EXPECT_EQ(found.diagnosis.fp32_too, false);
}

TEST(Doctor, AModelThatKeepsStateIsSaidToDoSo) {
  const auto calls = std::make_shared<int>(0);
  const auto found =
      examined({.middle = [calls](NetImpl&, const at::Tensor& y,
                                  std::int64_t) { return ++*calls == 5 ? y / (y - y) : y; },
                .recipe = Recipe::bf16()});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::model_nan) << found.diagnosis.sentence;
  EXPECT_THAT(found.notes, testing::Contains(HasSubstr("keeps something between calls")));
}

}  // namespace
}  // namespace amp::tests::doctor_test
