// The loss scale on a device: bit for bit the rule on the host, and no more waiting than is said.
#include "src/grad_scaler/loss_scale.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "tests/support/tensors.h"
#include "tests/support/training.h"

namespace amp::tests::loss_scale_test {
namespace {

using scaling::LossScale;
using scaling::next_scale;
using scaling::Rule;
using scaling::Scale;

at::Tensor flag(float value) { return tensor({value}).reshape({}); }

bool operator==(const Scale& a, const Scale& b) {
  return a.value == b.value && a.growth_tracker == b.growth_tracker &&
         a.hysteresis_left == b.hysteresis_left && a.consecutive_skips == b.consecutive_skips;
}

Rule random_rule(std::mt19937& dice) {
  constexpr double kGrowth[] = {2.0, 1.5, 1.001, 3.0};
  constexpr double kBackoff[] = {0.5, 0.7, 0.1};
  Rule rule{kGrowth[dice() % 4], kBackoff[dice() % 3], 1 + static_cast<std::int64_t>(dice() % 5),
            1 + static_cast<std::int64_t>(dice() % 3)};
  if (dice() % 2 == 0) {
    rule.min_scale = 0.3;
    rule.max_scale = 1000.1;
  }
  return rule;
}

TEST(LossScale, S2_2_OnADeviceItFollowsTheRuleBitForBit) {
  std::mt19937 dice(5);
  for (int play = 0; play < 20; ++play) {
    const auto rule = random_rule(dice);
    Scale expected{static_cast<float>(1 + dice() % 2000) / 3, 0, rule.hysteresis, 0};
    LossScale scale(expected);
    for (int step = 0; step < 60; ++step) {
      const bool found = dice() % 3 == 0;
      expected = next_scale(expected, rule, found);
      scale.update(flag(found ? 1.0F : 0.0F), rule);
      ASSERT_TRUE(scale.value() == expected) << "play " << play << ", step " << step << ": "
                                             << scale.value().value << ", " << expected.value;
    }
  }
}

TEST(LossScale, S6_7_OnADeviceTheRailsHold) {
  const Rule rule;
  for (const float begin :
       {std::numeric_limits<float>::infinity(), 1e-45F, 0.0F, std::numeric_limits<float>::max()}) {
    for (const bool found : {true, false}) {
      auto rule_of_one = rule;
      rule_of_one.growth_interval = 1;
      LossScale scale({begin, 0, 1, 0});
      scale.update(flag(found ? 1.0F : 0.0F), rule_of_one);
      EXPECT_TRUE(scale.value() == next_scale({begin, 0, 1, 0}, rule_of_one, found)) << begin;
    }
  }
}

TEST(LossScale, S1_9_AnyFlagOtherThanZeroIsAnOverflow) {
  for (const double found : {1.0, 2.0, -1.0, 1e-40, kInf, kNaN}) {
    LossScale scale({8.0F, 3, 1, 0});
    scale.update(flag(static_cast<float>(found)), {});
    EXPECT_EQ(scale.value().value, 4.0F) << found;
  }
}

TEST(LossScale, ItsTensorsAreTheScaleAndItsInverse) {
  LossScale scale({3.0F, 0, 1, 0});
  EXPECT_EQ(scale.on(test_device()).item<float>(), 3.0F);
  EXPECT_EQ(scale.inverse_on(test_device()).item<float>(), static_cast<float>(1.0 / 3.0));
  scale.update(flag(1), {});
  EXPECT_EQ(scale.on(test_device()).item<float>(), 1.5F);
  EXPECT_EQ(scale.inverse_on(test_device()).item<float>(), static_cast<float>(1.0 / 1.5));
  scale.set({49152.7F, 0, 1, 0});
  EXPECT_EQ(scale.on(test_device()).item<float>(), 49152.7F);
}

TEST(LossScale, TheHostHearsOfItLaterAndNeverGuessesTooMuch) {
  const Rule rule;
  LossScale scale({1024.0F, 0, 1, 0});
  EXPECT_EQ(scale.lower_bound(rule), 1024.0);
  for (int i = 0; i < 5; ++i) {
    scale.update(flag(1), rule);
    EXPECT_LE(scale.lower_bound(rule), 1024.0 / (2 << i));
    EXPECT_GE(scale.lower_bound(rule), 1.0);
  }
  EXPECT_EQ(scale.value().value, 32.0F);
  EXPECT_FALSE(scale.is_on_device());
  EXPECT_EQ(scale.last_seen().consecutive_skips, 5);
  EXPECT_EQ(scale.lower_bound(rule), 32.0);
}

TEST(LossScale, AHostUpdateAfterDeviceUpdatesGoesOnFromThem) {
  LossScale scale({64.0F, 0, 1, 0});
  scale.update(flag(1), {});
  scale.update(true, {});
  EXPECT_EQ(scale.value().value, 16.0F);
  EXPECT_EQ(scale.value().consecutive_skips, 2);
}

}  // namespace
}  // namespace amp::tests::loss_scale_test
