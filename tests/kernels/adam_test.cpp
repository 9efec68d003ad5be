// Adam and AdamW against the reference, with every option, and against steps worked out by hand.
#include "tests/kernels/update.h"

namespace amp::tests::adam_test {
namespace {

constexpr Noise kNoise{.seed = 11, .step = 3, .parameter = 2, .first = 0};

class AdamKernel : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, AdamKernel, kTargets, target_name);

class AdamByHand : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, AdamByHand, kTargetsAndReference, target_name);

// The bias corrections are those of step `t`.
Adam adam_at(int t, double beta1, double beta2, double lr = 0.01) {
  return {.beta1 = static_cast<float>(beta1),
          .beta2 = static_cast<float>(beta2),
          .eps = 1e-8f,
          .one_minus_beta1 = static_cast<float>(1 - beta1),
          .one_minus_beta2 = static_cast<float>(1 - beta2),
          .l2 = 0,
          .decay = 1,
          .step_size = static_cast<float>(lr / (1 - std::pow(beta1, t))),
          .sqrt_correction2 = static_cast<float>(std::sqrt(1 - std::pow(beta2, t))),
          .maximize = false};
}

void step(const Table& kernels, const Adam& adam, Tensor& t, bool amsgrad = true) {
  const Moment largest{amsgrad ? t.largest.data() : nullptr, t.largest.format()};
  kernels.adam(adam, t.scaled(0.3f, 0.7f), t.weights(), t.first.span(), t.second.span(), largest,
               kNoise, t.size());
}

TEST_P(AdamKernel, EveryOptionAsTheReference) {
  for (const double beta1 : {0.0, 0.4, 0.9}) {
    for (const float l2 : {0.0f, 0.01f}) {
      for (const float decay : {1.0f, 0.999f}) {
        for (const bool maximize : {false, true}) {
          for (const bool amsgrad : {false, true}) {
            auto adam = adam_at(3, beta1, 0.999);
            adam.l2 = l2;
            adam.decay = decay;
            adam.maximize = maximize;
            Tensor got({}, 1100), expected({}, 1100);
            step(kernels(), adam, got, amsgrad);
            step(reference(), adam, expected, amsgrad);
            expect_near(got, expected, "adam");
          }
        }
      }
    }
  }
}

TEST_P(AdamKernel, EveryFormatAndSizeAsTheReferenceAndTheScalarTarget) {
  auto adam = adam_at(5, 0.9, 0.99);
  adam.decay = 0.9995f;
  for (const auto& formats : kAllFormats) {
    for (const auto size : kSizes) {
      Tensor got(formats, size), expected(formats, size), plain(formats, size);
      step(kernels(), adam, got);
      step(reference(), adam, expected);
      step(scalar(), adam, plain);
      expect_near(got, expected, describe(formats, size));
      expect_identical(got, plain, describe(formats, size));
      EXPECT_TRUE(got.guards_intact()) << describe(formats, size);
    }
  }
}

// Large numbers whose squares fp32 still has: beyond, the reference's second moment does not
// overflow before it is stored.
TEST_P(AdamKernel, SpecialNumbersAsTheReference) {
  const auto adam = adam_at(5, 0.9, 0.99);
  for (const auto& formats : kAllFormats) {
    Tensor got(formats, 67), expected(formats, 67), plain(formats, 67);
    for (auto* tensor : {&got, &expected, &plain}) add_specials(*tensor, 60000);
    step(kernels(), adam, got);
    step(reference(), adam, expected);
    step(scalar(), adam, plain);
    expect_near(got, expected, describe(formats, 67));
    expect_identical(got, plain, describe(formats, 67));
  }
}

// As torch.lerp, which starts from the nearer end: m + (g - m) would lose g beside a large m.
TEST_P(AdamKernel, WithoutBeta1TheFirstMomentIsTheGradient) {
  Tensor t({}, 50);
  for (std::size_t i = 0; i < t.size(); ++i) t.first.set(i, 1e20);
  kernels().adam(adam_at(1, 0, 0.999), t.as_it_is(), t.weights(), t.first.span(), t.second.span(),
                 {nullptr, Format::fp32}, {}, t.size());
  for (std::size_t i = 0; i < t.size(); ++i) EXPECT_EQ(t.first[i], t.gradient[i]);
}

// From zero moments the first step is lr * g / (|g| + eps'), whatever g.
TEST_P(AdamByHand, TheFirstStepHasTheLengthOfTheLearningRate) {
  Tensor t({}, 40);
  for (std::size_t i = 0; i < t.size(); ++i) {
    t.set_weight(i, 0);
    t.gradient.set(i, i % 2 == 0 ? 3.7 : -1e-3);
    t.first.set(i, 0);
    t.second.set(i, 0);
  }
  kernels().adam(adam_at(1, 0.9, 0.999), t.as_it_is(), t.weights(), t.first.span(), t.second.span(),
                 {nullptr, Format::fp32}, {}, t.size());
  for (std::size_t i = 0; i < t.size(); ++i) {
    EXPECT_NEAR(t.fp32[i], i % 2 == 0 ? -0.01 : 0.01, 1e-6);
  }
}

TEST_P(AdamByHand, AStepWithDecay) {
  Tensor t({}, 1);
  t.set_weight(0, 8);
  t.gradient.set(0, 4);
  t.first.set(0, 8);
  t.second.set(0, 16);
  const Adam adam{.beta1 = 0.75f,
                  .beta2 = 0.5f,
                  .eps = 1,
                  .one_minus_beta1 = 0.25f,
                  .one_minus_beta2 = 0.5f,
                  .l2 = 0,
                  .decay = 0.5f,
                  .step_size = 0.5f,
                  .sqrt_correction2 = 4.0f / 3,
                  .maximize = false};
  kernels().adam(adam, t.as_it_is(), t.weights(), t.first.span(), t.second.span(),
                 {nullptr, Format::fp32}, {}, 1);
  EXPECT_EQ(t.first[0], 7);                         // 8 + (4 - 8)/4
  EXPECT_EQ(t.second[0], 16);                       // 16/2 + 16/2
  EXPECT_NEAR(t.fp32[0], 4 - 3.5 / (3 + 1), 1e-6);  // 8/2 - 7/2 / (4/(4/3) + 1)
}

TEST_P(AdamByHand, L2IsPartOfTheGradientAndMaximizeTurnsItRound) {
  Tensor t({}, 1);
  t.set_weight(0, 8);
  t.gradient.set(0, 6);
  t.first.set(0, 0);
  t.second.set(0, 0);
  auto adam = adam_at(1, 0.75, 0.5);
  adam.l2 = 0.25f;
  adam.maximize = true;
  kernels().adam(adam, t.as_it_is(), t.weights(), t.first.span(), t.second.span(),
                 {nullptr, Format::fp32}, {}, 1);
  EXPECT_EQ(t.first[0], -1);  // (-6 + 0.25 * 8) / 4
  EXPECT_EQ(t.second[0], 8);  // 16 / 2
}

TEST_P(AdamByHand, AmsgradDividesByTheLargest) {
  Tensor t({}, 2);
  for (std::size_t i = 0; i < 2; ++i) {
    t.set_weight(i, 0);
    t.gradient.set(i, 0);
    t.first.set(i, 8);
    t.second.set(i, 8);
  }
  t.largest.set(0, 16);
  t.largest.set(1, 1);
  const Adam adam{.beta1 = 0.5f,
                  .beta2 = 0.5f,
                  .eps = 0,
                  .one_minus_beta1 = 0.5f,
                  .one_minus_beta2 = 0.5f,
                  .l2 = 0,
                  .decay = 1,
                  .step_size = 1,
                  .sqrt_correction2 = 1,
                  .maximize = false};
  kernels().adam(adam, t.as_it_is(), t.weights(), t.first.span(), t.second.span(), t.largest.span(),
                 {}, 2);
  EXPECT_EQ(t.largest[0], 16);
  EXPECT_EQ(t.largest[1], 4);
  EXPECT_EQ(t.fp32[0], -1);  // 4 / sqrt(16)
  EXPECT_EQ(t.fp32[1], -2);  // 4 / sqrt(4)
}

}  // namespace
}  // namespace amp::tests::adam_test
