// The arithmetic of dynamic loss scaling, against torch._amp_update_scale_ and, where ours differs
// on purpose, against values worked out by hand.
#include "src/grad_scaler/scale_rule.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "tests/support/golden.h"

namespace amp::tests::scale_rule_test {
namespace {

using scaling::next_scale;
using scaling::Rule;
using scaling::Scale;

constexpr float kSmallest = std::numeric_limits<float>::min();
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kInfinite = std::numeric_limits<float>::infinity();

// found: one character a step, "." for a clean one, anything else for an overflow.
Scale after(Scale scale, const Rule& rule, const std::string& found) {
  for (const char step : found) scale = next_scale(scale, rule, step != '.');
  return scale;
}

TEST(GradScaler, S2_2_TheScaleFollowsTorchStepByStep) {
  const auto file = golden("scale_rule.json");
  ASSERT_EQ(file["trajectories"].size(), 10u);
  for (const auto& run : file["trajectories"]) {
    SCOPED_TRACE(run["name"].get<std::string>());
    const Rule rule = {.growth_factor = run["growth_factor"],
                       .backoff_factor = run["backoff_factor"],
                       .growth_interval = run["growth_interval"]};
    Scale scale = {.value = static_cast<float>(number(run["scale"]))};
    const auto found = run["found"].get<std::string>();
    for (std::size_t step = 0; step < found.size(); ++step) {
      scale = next_scale(scale, rule, found[step] != '.');
      ASSERT_EQ(static_cast<double>(scale.value), number(run["scales"][step])) << "step " << step;
      ASSERT_EQ(scale.growth_tracker, run["trackers"][step].get<std::int64_t>()) << "step " << step;
    }
  }
}

// torch: 25 + 1 never equals 3, and the scale stays 4 for good.
TEST(GradScaler, S6_6_GrowthFiresWhenTheTrackerIsPastTheInterval) {
  const Scale grown =
      next_scale({.value = 4.0f, .growth_tracker = 25}, {.growth_interval = 3}, false);
  EXPECT_EQ(grown.value, 8.0f);
  EXPECT_EQ(grown.growth_tracker, 0);
}

TEST(GradScaler, S6_7_TheScaleNeverUnderflows) {
  EXPECT_EQ(after({.value = 65536.0f}, {}, std::string(300, 'x')).value, kSmallest);
  // And it comes back: 2^-126 grows to 2^-124.
  const Rule eager = {.growth_interval = 1};
  EXPECT_EQ(after({.value = kSmallest}, eager, "..").value, 4 * kSmallest);
}

TEST(GradScaler, S6_7_AnInfiniteScaleComesDown) {
  EXPECT_EQ(next_scale({.value = kInfinite}, {}, true).value, kLargest / 2);
  EXPECT_EQ(next_scale({.value = kInfinite}, {.max_scale = 1024.0}, true).value, 512.0f);
}

TEST(GradScaler, S8_3_BackoffStopsAtMinScale) {
  const Rule rule = {.min_scale = 3.0};
  EXPECT_EQ(after({.value = 16.0f}, rule, "xx").value, 4.0f);
  EXPECT_EQ(after({.value = 16.0f}, rule, "xxx").value, 3.0f);
  EXPECT_EQ(after({.value = 16.0f}, rule, "xxxx").value, 3.0f);
}

TEST(GradScaler, S8_3_GrowthPastMaxScaleDoesNotHappenAndResetsTheTracker) {
  const Rule rule = {.growth_interval = 2, .max_scale = 20.0};
  const Scale below = after({.value = 8.0f}, rule, "..");
  EXPECT_EQ(below.value, 16.0f);
  const Scale stopped = after(below, rule, "..");
  EXPECT_EQ(stopped.value, 16.0f);
  EXPECT_EQ(stopped.growth_tracker, 0);
  EXPECT_EQ(after({.value = 10.0f}, rule, "..").value, 20.0f) << "the rail itself is allowed";
}

TEST(GradScaler, S8_3_ALoadedScaleBelowTheRailIsNotLiftedByAnOverflow) {
  EXPECT_EQ(next_scale({.value = 0.5f}, {.min_scale = 1.0}, true).value, 0.5f);
}

TEST(GradScaler, S6_8_HysteresisForgivesOverflowsUntilItsCreditsAreSpent) {
  const Rule rule = {.growth_interval = 4, .hysteresis = 3};
  const Scale fresh = {.value = 64.0f, .hysteresis_left = 3};
  EXPECT_EQ(after(fresh, rule, "xx").value, 64.0f);
  EXPECT_EQ(after(fresh, rule, "xx").hysteresis_left, 1);
  EXPECT_EQ(after(fresh, rule, "xxx").value, 32.0f);
  EXPECT_EQ(after(fresh, rule, "xxxx").value, 16.0f)
      << "no credit is left: every overflow backs off";
  EXPECT_EQ(after(fresh, rule, "xx.xx").value, 64.0f) << "a clean step refills";
}

TEST(GradScaler, S6_8_AForgivenOverflowResetsTheGrowthTracker) {
  const Rule rule = {.growth_interval = 3, .hysteresis = 2};
  const Scale fresh = {.value = 64.0f, .hysteresis_left = 2};
  EXPECT_EQ(after(fresh, rule, "..x").growth_tracker, 0);
  EXPECT_EQ(after(fresh, rule, "..x..").value, 64.0f);
  EXPECT_EQ(after(fresh, rule, "..x...").value, 128.0f);
}

TEST(GradScaler, S8_2_SkipsInARowAreCounted) {
  EXPECT_EQ(after({}, {}, "xxx").consecutive_skips, 3);
  EXPECT_EQ(after({}, {}, "xx.x").consecutive_skips, 1);
  EXPECT_EQ(after({}, {}, "xxx.").consecutive_skips, 0);
}

}  // namespace
}  // namespace amp::tests::scale_rule_test
