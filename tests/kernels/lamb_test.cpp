// LAMB's two passes against the reference, and against a step worked out by hand.
#include "tests/kernels/update.h"

namespace amp::tests::lamb_test {
namespace {

constexpr Noise kNoise{.seed = 11, .step = 3, .parameter = 2, .first = 0};

class LambKernel : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, LambKernel, kTargets, target_name);

class LambByHand : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, LambByHand, kTargetsAndReference, target_name);

constexpr Lamb kLamb{.beta1 = 0.9f,
                     .beta2 = 0.99f,
                     .eps = 1e-6f,
                     .one_minus_beta1 = 0.1f,
                     .one_minus_beta2 = 0.01f,
                     .correction1 = 0.271f,
                     .correction2 = 0.0297f,
                     .weight_decay = 0.01f,
                     .maximize = false};

LambNorms step(const Table& kernels, const Lamb& lamb, Tensor& t, float rate = 0.01f) {
  const auto norms = kernels.lamb_moments(lamb, t.scaled(0.3f, 0.7f), t.weights(), t.first.span(),
                                          t.second.span(), kNoise, t.size());
  kernels.lamb_apply(lamb, rate, t.weights(), t.first.read_only(), t.second.read_only(), kNoise,
                     t.size());
  return norms;
}

TEST_P(LambKernel, EveryFormatAndSizeAsTheReferenceAndTheScalarTarget) {
  for (const auto& formats : kAllFormats) {
    for (const auto size : kSizes) {
      Tensor got(formats, size), expected(formats, size), plain(formats, size);
      const auto norms = step(kernels(), kLamb, got);
      const auto expected_norms = step(reference(), kLamb, expected);
      const auto plain_norms = step(scalar(), kLamb, plain);
      const auto what = describe(formats, size);
      expect_near(got, expected, what);
      expect_identical(got, plain, what);
      EXPECT_EQ(norms.weight, plain_norms.weight);
      EXPECT_EQ(norms.update, plain_norms.update);
      EXPECT_NEAR(norms.weight, expected_norms.weight, 1e-6 * expected_norms.weight) << what;
      // bf16 moments: now and then the reference rounds one to the other neighbour.
      const double share = formats.moments == Format::fp32 ? 1e-6 : 1e-3;
      EXPECT_NEAR(norms.update, expected_norms.update, share * expected_norms.update) << what;
      EXPECT_TRUE(got.guards_intact()) << what;
    }
  }
}

TEST_P(LambKernel, EveryOptionAsTheReference) {
  for (const bool maximize : {false, true}) {
    for (const float decay : {0.0f, 0.1f}) {
      for (const bool corrected : {false, true}) {
        auto lamb = kLamb;
        lamb.maximize = maximize;
        lamb.weight_decay = decay;
        if (!corrected) lamb.correction1 = lamb.correction2 = 1;
        Tensor got({}, 1100), expected({}, 1100);
        const auto norms = step(kernels(), lamb, got);
        const auto expected_norms = step(reference(), lamb, expected);
        expect_near(got, expected, "lamb");
        EXPECT_NEAR(norms.update, expected_norms.update, 1e-6 * expected_norms.update);
      }
    }
  }
}

TEST_P(LambKernel, SpecialNumbersAsTheReference) {
  for (const auto& formats : kAllFormats) {
    Tensor got(formats, 67), expected(formats, 67), plain(formats, 67);
    for (auto* tensor : {&got, &expected, &plain}) add_specials(*tensor, 60000);
    step(kernels(), kLamb, got);
    step(reference(), kLamb, expected);
    step(scalar(), kLamb, plain);
    expect_near(got, expected, describe(formats, 67));
    expect_identical(got, plain, describe(formats, 67));
  }
}

// The first pass reads the weights only.
TEST_P(LambKernel, TheFirstPassLeavesTheWeights) {
  for (const auto& formats : kAllFormats) {
    Tensor got(formats, 70);
    const Tensor before(formats, 70);
    kernels().lamb_moments(kLamb, got.as_it_is(), got.weights(), got.first.span(),
                           got.second.span(), kNoise, got.size());
    EXPECT_EQ(differences(got.fp32, before.fp32), 0u);
    EXPECT_EQ(differences(got.low, before.low), 0u);
    EXPECT_EQ(differences(got.extra, before.extra), 0u);
  }
}

// The norm belongs to the update that the second pass takes: u is read off the weights.
TEST_P(LambByHand, TheNormIsThatOfTheUpdateTaken) {
  for (const auto moments : {Format::fp32, Format::bf16}) {
    Tensor t({.moments = moments}, 3000);
    const Tensor before = t;
    const auto norms = step(kernels(), kLamb, t, 1.0f);
    double update = 0;
    for (std::size_t i = 0; i < t.size(); ++i) update += std::pow(before.fp32[i] - t.fp32[i], 2);
    EXPECT_NEAR(norms.update, update, 1e-5 * update);
  }
}

TEST_P(LambByHand, OneStep) {
  Tensor t({}, 2);
  for (std::size_t i = 0; i < 2; ++i) {
    t.set_weight(i, 4);
    t.gradient.set(i, 4);
    t.first.set(i, 8);
    t.second.set(i, 16);
  }
  const Lamb lamb{.beta1 = 0.75f,
                  .beta2 = 0.5f,
                  .eps = 1,
                  .one_minus_beta1 = 0.25f,
                  .one_minus_beta2 = 0.5f,
                  .correction1 = 0.5f,
                  .correction2 = 0.25f,
                  .weight_decay = 0.5f,
                  .maximize = false};
  const auto norms = kernels().lamb_moments(lamb, t.as_it_is(), t.weights(), t.first.span(),
                                            t.second.span(), {}, 2);
  EXPECT_EQ(t.first[0], 7);    // 8 + (4 - 8)/4
  EXPECT_EQ(t.second[0], 16);  // 16/2 + 16/2
  EXPECT_EQ(norms.weight, 32);
  const double u = 14.0 / 9 + 2;  // (7 / 0.5) / (sqrt(16 / 0.25) + 1) + 0.5 * 4
  EXPECT_NEAR(norms.update, 2 * u * u, 1e-5);
  kernels().lamb_apply(lamb, 0.5f, t.weights(), t.first.read_only(), t.second.read_only(), {}, 2);
  EXPECT_NEAR(t.fp32[1], 4 - 0.5 * u, 1e-6);
}

}  // namespace
}  // namespace amp::tests::lamb_test
