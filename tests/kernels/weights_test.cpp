// The forms of weights over many steps: what each keeps of fp32 training.
#include <random>

#include "tests/kernels/update.h"

namespace amp::tests::weights_test {
namespace {

class WeightForms : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, WeightForms, kTargetsAndReference, target_name);

constexpr std::size_t kSize = 203;

void set_gradient(Tensor& tensor, std::mt19937& random, double mean = 0) {
  std::normal_distribution<double> normal(mean);
  for (std::size_t i = 0; i < tensor.size(); ++i) tensor.gradient.set(i, normal(random));
}

// The same gradients, drawn from the same seed, for as many steps.
template <class Step>
void train(Tensor& tensor, int steps, const Step& step, double mean = 0) {
  std::mt19937 random(3);
  for (int t = 0; t < steps; ++t) {
    set_gradient(tensor, random, mean);
    step(tensor, static_cast<std::uint32_t>(t));
  }
}

TEST_P(WeightForms, SplitIsFp32ExactlyAfterAThousandSteps) {
  const auto adam = [&](Tensor& t, std::uint32_t step) {
    const Adam rule{.beta1 = 0.9f,
                    .beta2 = 0.99f,
                    .eps = 1e-8f,
                    .one_minus_beta1 = 0.1f,
                    .one_minus_beta2 = 0.01f,
                    .l2 = 0.01f,
                    .decay = 0.9999f,
                    .step_size = 1e-3f,
                    .sqrt_correction2 = 0.9f,
                    .maximize = false};
    kernels().adam(rule, t.scaled(), t.weights(), t.first.span(), t.second.span(), t.largest.span(),
                   {.seed = 1, .step = step}, t.size());
  };
  const auto sgd = [&](Tensor& t, std::uint32_t step) {
    kernels().sgd({1e-3f, 0.9f, 0, 1e-4f, true, false, step == 0}, t.scaled(), t.weights(),
                  t.first.span(), {.seed = 1, .step = step}, t.size());
  };
  const auto lamb = [&](Tensor& t, std::uint32_t step) {
    const Lamb rule{0.9f, 0.99f, 1e-6f, 0.1f, 0.01f, 1, 1, 0.01f, false};
    const Noise noise{.seed = 1, .step = step};
    kernels().lamb_moments(rule, t.scaled(), t.weights(), t.first.span(), t.second.span(), noise,
                           t.size());
    kernels().lamb_apply(rule, 1e-3f, t.weights(), t.first.read_only(), t.second.read_only(), noise,
                         t.size());
  };
  const auto compare = [](const auto& step) {
    Tensor wide({.form = WeightForm::fp32}, kSize), split({.form = WeightForm::split}, kSize);
    const Tensor before = wide;
    train(wide, 1000, step);
    train(split, 1000, step);
    for (std::size_t i = 0; i < kSize; ++i) {
      ASSERT_EQ(split.weight(i), wide.fp32[i]);
      ASSERT_NE(wide.fp32[i], before.fp32[i]);
      ASSERT_EQ(wide.low[i], double{float(c10::BFloat16(static_cast<float>(wide.fp32[i])))});
    }
  };
  compare(adam);
  compare(sgd);
  compare(lamb);
}

// Every fp32 number has its two halves; the upper is the nearest bf16 number.
TEST_P(WeightForms, SplitKeepsEveryNumber) {
  std::mt19937 random(5);
  Tensor split({.form = WeightForm::split}, 100'000);
  Numbers bits(Format::fp32, split.size());
  for (std::size_t i = 0; i < split.size(); ++i) {
    bits.set_code(i, static_cast<std::uint32_t>(random()));
    // From -w with weights of w: -w - (-1) * 2w.
    split.set_weight(i, -bits[i] / 2);
    split.gradient.set(i, 1.5 * bits[i]);
  }
  kernels().sgd({-1, 0, 0, 0, false, false, false}, split.as_it_is(), split.weights(),
                {nullptr, Format::fp32}, {}, split.size());
  for (std::size_t i = 0; i < split.size(); ++i) {
    const float expected = static_cast<float>(bits[i] / -2) + static_cast<float>(1.5 * bits[i]);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(split.low[i]) && std::isnan(split.weight(i)));
      continue;
    }
    ASSERT_EQ(split.weight(i), double{expected});
    if (std::abs(expected) > 1e-30f && std::isfinite(split.low[i])) {
      ASSERT_LE(std::abs(split.low[i] - split.weight(i)), std::abs(split.low[i]) * 0x1p-8);
    }
  }
}

// 2,000 steps of 2^-13 from 1: nearest stays at 1, fp32 comes to 1.2441.
TEST_P(WeightForms, KahanKeepsTinyUpdatesThatNearestLoses) {
  const auto sum_with = [&](WeightForm form, Format low) {
    Tensor t({.form = form, .low = low}, 40);
    for (std::size_t i = 0; i < t.size(); ++i) {
      t.set_weight(i, 1);
      t.gradient.set(i, -1);
    }
    for (std::uint32_t step = 0; step < 2000; ++step) {
      kernels().sgd({0x1p-13f, 0, 0, 0, false, false, false}, t.as_it_is(), t.weights(),
                    {nullptr, Format::fp32}, {.seed = 2, .step = step}, t.size());
    }
    double sum = 0;
    for (std::size_t i = 0; i < t.size(); ++i) sum += t.weight(i);
    return sum / 40;
  };
  const double exact = 1 + 2000 * 0x1p-13;
  for (const auto low : {Format::bf16, Format::fp16}) {
    EXPECT_EQ(sum_with(WeightForm::nearest, low), 1) << format_name(low);
    EXPECT_NEAR(sum_with(WeightForm::kahan, low), exact, 1e-4) << format_name(low);
    EXPECT_NEAR(sum_with(WeightForm::stochastic, low), exact, 0.02) << format_name(low);
  }
  EXPECT_EQ(sum_with(WeightForm::split, Format::bf16), exact);
}

// What is left is less than half a step of the low number, and Inf leaves nothing.
TEST_P(WeightForms, KahanRoundsToNearestAndKeepsTheRest) {
  for (const auto low : {Format::bf16, Format::fp16}) {
    Tensor t({.form = WeightForm::kahan, .low = low}, 100);
    const double big = low == Format::fp16 ? 1e6 : 3.4e38;
    for (std::size_t i = 0; i < t.size(); ++i) {
      t.set_weight(i, 0);
      t.gradient.set(i, i == 50 ? -big : -1.2345678 - 0.01 * static_cast<double>(i));
    }
    kernels().sgd({1, 0, 0, 0, false, false, false}, t.as_it_is(), t.weights(),
                  {nullptr, Format::fp32}, {}, t.size());
    for (std::size_t i = 0; i < t.size(); ++i) {
      Numbers rounded(low, 1);
      rounded.set(0, -t.gradient[i]);
      ASSERT_EQ(t.low[i], rounded[0]);
      const double rest = i == 50 ? 0 : -t.gradient[i] - rounded[0];
      ASSERT_NEAR(t.extra[i], rest, std::abs(rest) * epsilon(low) / 2 + smallest_subnormal(low));
    }
  }
}

TEST_P(WeightForms, NearestRoundsAsC10Does) {
  for (const auto low : {Format::bf16, Format::fp16}) {
    Tensor t({.form = WeightForm::nearest, .low = low}, 1000);
    Numbers expected(low, t.size());
    for (std::size_t i = 0; i < t.size(); ++i) {
      const auto step = static_cast<float>(t.gradient[i]) * 0.125f;
      expected.set(i, double{static_cast<float>(t.low[i]) - step});
    }
    kernels().sgd({0.125f, 0, 0, 0, false, false, false}, t.as_it_is(), t.weights(),
                  {nullptr, Format::fp32}, {}, t.size());
    EXPECT_EQ(differences(t.low, expected), 0u);
  }
}

// Without a low copy nothing is written there.
TEST_P(WeightForms, TheLowCopyIsOptional) {
  Tensor t({}, 100);
  const Tensor before = t;
  auto weights = t.weights();
  weights.low = nullptr;
  kernels().sgd({0.125f, 0, 0, 0, false, false, false}, t.as_it_is(), weights,
                {nullptr, Format::fp32}, {}, t.size());
  EXPECT_EQ(differences(t.low, before.low), 0u);
  EXPECT_EQ(differences(t.fp32, before.fp32), 100u);
}

}  // namespace
}  // namespace amp::tests::weights_test
