// SGD against the reference, with every option, and against steps worked out by hand.
#include "tests/kernels/update.h"

namespace amp::tests::sgd_test {
namespace {

constexpr Noise kNoise{.seed = 11, .step = 3, .parameter = 2, .first = 0};

class SgdKernel : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, SgdKernel, kTargets, target_name);

class SgdByHand : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, SgdByHand, kTargetsAndReference, target_name);

std::vector<Sgd> every_option() {
  std::vector<Sgd> all;
  for (const float decay : {0.0f, 0.01f}) {
    for (const float dampening : {0.0f, 0.3f}) {
      for (const bool nesterov : {false, true}) {
        for (const bool maximize : {false, true}) {
          for (const bool first : {false, true}) {
            all.push_back({0.1f, 0.9f, dampening, decay, nesterov, maximize, first});
          }
        }
      }
    }
  }
  return all;
}

void step(const Table& kernels, const Sgd& sgd, Tensor& t, bool momentum = true) {
  const Moment buffer{momentum ? t.first.data() : nullptr, t.first.format()};
  kernels.sgd(sgd, t.scaled(0.3f, 0.7f), t.weights(), buffer, kNoise, t.size());
}

TEST_P(SgdKernel, EveryOptionAsTheReference) {
  for (const auto& sgd : every_option()) {
    for (const bool momentum : {false, true}) {
      Tensor got({}, 1100), expected({}, 1100);
      step(kernels(), sgd, got, momentum);
      step(reference(), sgd, expected, momentum);
      expect_near(got, expected, "sgd");
    }
  }
}

TEST_P(SgdKernel, EveryFormatAndSizeAsTheReferenceAndTheScalarTarget) {
  const Sgd sgd{0.1f, 0.9f, 0.1f, 0.01f, true, false, false};
  for (const auto& formats : kAllFormats) {
    for (const auto size : kSizes) {
      Tensor got(formats, size), expected(formats, size), plain(formats, size);
      step(kernels(), sgd, got);
      step(reference(), sgd, expected);
      step(scalar(), sgd, plain);
      expect_near(got, expected, describe(formats, size));
      expect_identical(got, plain, describe(formats, size));
      EXPECT_TRUE(got.guards_intact()) << describe(formats, size);
    }
  }
}

TEST_P(SgdKernel, SpecialNumbersAsTheReference) {
  const Sgd sgd{0.1f, 0.9f, 0.1f, 0, false, false, false};
  for (const auto& formats : kAllFormats) {
    Tensor got(formats, 67), expected(formats, 67), plain(formats, 67);
    for (auto* tensor : {&got, &expected, &plain}) add_specials(*tensor, 60000);
    step(kernels(), sgd, got);
    step(reference(), sgd, expected);
    step(scalar(), sgd, plain);
    expect_near(got, expected, describe(formats, 67));
    expect_identical(got, plain, describe(formats, 67));
  }
}

// Two steps, w = 1, g = 0.5: all numbers are exact in binary.
TEST_P(SgdByHand, MomentumAndWeightDecay) {
  Tensor t({}, 1);
  t.set_weight(0, 1);
  t.gradient.set(0, 0.5);
  Sgd sgd{.lr = 0.25f,
          .momentum = 0.5f,
          .dampening = 0.25f,
          .weight_decay = 0.5f,
          .nesterov = false,
          .maximize = false,
          .first_step = true};
  kernels().sgd(sgd, t.as_it_is(), t.weights(), t.first.span(), {}, 1);
  EXPECT_EQ(t.first[0], 1);    // 0.5 + 0.5 * 1
  EXPECT_EQ(t.fp32[0], 0.75);  // 1 - 0.25 * 1
  EXPECT_EQ(t.low[0], 0.75);
  sgd.first_step = false;
  kernels().sgd(sgd, t.as_it_is(), t.weights(), t.first.span(), {}, 1);
  EXPECT_EQ(t.first[0], 1.15625);   // 0.5 * 1 + 0.75 * (0.5 + 0.5 * 0.75)
  EXPECT_EQ(t.fp32[0], 0.4609375);  // 0.75 - 0.25 * 1.15625
}

TEST_P(SgdByHand, NesterovMaximizeClipAndUnscaled) {
  Tensor t({.gradient = Format::fp16}, 1);
  t.set_weight(0, 1);
  t.first.set(0, 2);
  t.gradient.set(0, 1024);
  const Sgd sgd{.lr = 0.5f,
                .momentum = 0.5f,
                .dampening = 0,
                .weight_decay = 0,
                .nesterov = true,
                .maximize = true,
                .first_step = false};
  kernels().sgd(sgd, t.scaled(1.0f / 512, 0.25f), t.weights(), t.first.span(), {}, 1);
  EXPECT_EQ(t.unscaled[0], 0.5);
  EXPECT_EQ(t.first[0], 0.5);   // 0.5 * 2 - 0.5
  EXPECT_EQ(t.fp32[0], 1.125);  // 1 - 0.5 * (-0.5 + 0.5 * 0.5)
  EXPECT_EQ(t.gradient[0], 1024);
}

TEST_P(SgdByHand, TheFirstStepDoesNotReadTheBuffer) {
  Tensor t({}, 3);
  for (std::size_t i = 0; i < 3; ++i) t.first.set(i, kNaN);
  kernels().sgd({0.5f, 0.5f, 0, 0, true, false, true}, t.as_it_is(), t.weights(), t.first.span(),
                {}, 3);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(t.first[i], t.gradient[i]);
}

// `unscaled` may be the gradient itself.
TEST_P(SgdByHand, UnscalesInPlace) {
  for (const auto format : kFormats) {
    Tensor t({.gradient = format}, 70);
    for (std::size_t i = 0; i < t.size(); ++i) t.gradient.set(i, 64.0 * static_cast<double>(i));
    const Gradient gradient{t.gradient.read_only(), 1.0f / 64, 1, t.gradient.span()};
    kernels().sgd({1, 0, 0, 0, false, false, false}, gradient, t.weights(), {nullptr, Format::fp32},
                  {}, t.size());
    for (std::size_t i = 0; i < t.size(); ++i) EXPECT_EQ(t.gradient[i], static_cast<double>(i));
  }
}

}  // namespace
}  // namespace amp::tests::sgd_test
