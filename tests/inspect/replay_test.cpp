// replay() and suggest_scaler(): traces whose outcome can be counted by hand.
#include "amp/inspect/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "amp/error.h"

namespace amp::tests::replay_test {
namespace {

using testing::ElementsAre;

std::vector<ScalerTraceStep> with_amax(std::size_t steps, double amax) {
  return std::vector<ScalerTraceStep>(steps, {.gradient_amax = amax});
}

TEST(Replay, FollowsTheRule) {
  // 64 x 1024 = 65536 is beyond 65504, 64 x 512 is not; two clean steps double the scale.
  const auto outcome = replay(with_amax(7, 64), {.init_scale = 2048, .growth_interval = 2});
  EXPECT_THAT(outcome.scales, ElementsAre(2048, 1024, 512, 512, 1024, 512, 512));
  EXPECT_EQ(outcome.skipped, 3);
  EXPECT_EQ(outcome.uncertain, 0);
  EXPECT_EQ(outcome.final_scale, 1024);
  EXPECT_DOUBLE_EQ(outcome.mean_log2_scale, (11 + 10 + 9 + 9 + 10 + 9 + 9) / 7.0);
}

TEST(Replay, KnowsWithoutGradientsWhatTheTraceTells) {
  const std::vector<ScalerTraceStep> trace = {{.loss_scale = 8, .found_inf = true},
                                              {.loss_scale = 4, .found_inf = false}};
  const auto higher = replay(trace, {.init_scale = 16});
  EXPECT_EQ(higher.skipped, 1);    // 16 overflows as 8 did
  EXPECT_EQ(higher.uncertain, 1);  // 8 where 4 was clean
  const auto lower = replay(trace, {.init_scale = 2});
  EXPECT_EQ(lower.skipped, 0);
  EXPECT_EQ(lower.uncertain, 1);  // 2 where 8 overflowed
}

TEST(Replay, AGradientThatIsNotFiniteOverflowsAtAnyScale) {
  for (const double amax :
       {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
    EXPECT_EQ(replay(with_amax(3, amax), {.init_scale = 1, .min_scale = 1}).skipped, 3);
}

TEST(Replay, SuggestsTheLargestScaleThatSkipsNothing) {
  const auto options = suggest_scaler(with_amax(50, 4));
  EXPECT_EQ(options.init_scale, 8192);  // 4 x 16384 is 65536
  EXPECT_EQ(replay(with_amax(50, 4), options).skipped, 0);
}

TEST(Replay, SuggestsNoScaleThatTheTraceSaysNothingOf) {
  // 65536 overflowed once, 32768 never did; of larger scales nothing is known.
  std::vector<ScalerTraceStep> trace(50, {.loss_scale = 32768});
  trace[0] = {.loss_scale = 65536, .found_inf = true};
  const auto options = suggest_scaler(trace);
  EXPECT_EQ(options.init_scale, 32768);
  EXPECT_EQ(replay(trace, options).skipped, 0);
}

TEST(Replay, RefusesWhatNoTraceHolds) {
  EXPECT_TRUE(replay({}, {}).scales.empty());
  EXPECT_THROW(replay({{.loss_scale = 0}}, {}), InvalidArgument);
  EXPECT_THROW(replay(with_amax(1, -1), {}), InvalidArgument);
  EXPECT_THROW(replay({}, {.growth_factor = 1}), InvalidArgument);
}

}  // namespace
}  // namespace amp::tests::replay_test
