// state_dict and load_state_dict.
#include <gtest/gtest.h>

#include "amp/error.h"
#include "tests/support/training.h"

namespace amp::tests::state_test {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

bool equal(const GradScalerState& one, const GradScalerState& other) {
  return one.scale == other.scale && one.growth_factor == other.growth_factor &&
         one.backoff_factor == other.backoff_factor &&
         one.growth_interval == other.growth_interval &&
         one.growth_tracker == other.growth_tracker &&
         one.hysteresis_left == other.hysteresis_left &&
         one.consecutive_skips == other.consecutive_skips;
}

constexpr GradScalerState kUsable = {.scale = 48.0,
                                     .growth_factor = 3.0,
                                     .backoff_factor = 0.25,
                                     .growth_interval = 7,
                                     .growth_tracker = 5,
                                     .hysteresis_left = 1,
                                     .consecutive_skips = 2};

TEST(GradScaler, S1_12_TheStateIsKnownBeforeTheFirstScale) {
  const auto state =
      GradScaler({.init_scale = 8.0, .growth_interval = 5, .hysteresis = 2}).state_dict();
  EXPECT_TRUE(equal(state, {.scale = 8.0,
                            .growth_factor = 2.0,
                            .backoff_factor = 0.5,
                            .growth_interval = 5,
                            .growth_tracker = 0,
                            .hysteresis_left = 2,
                            .consecutive_skips = 0}));
  EXPECT_FALSE(state.empty());
}

TEST(GradScaler, S1_12_ALoadedStateIsTheSavedOne) {
  GradScaler scaler;
  scaler.load_state_dict(kUsable);
  EXPECT_TRUE(equal(scaler.state_dict(), kUsable));
  EXPECT_EQ(scaler.get_scale(), 48.0);
  EXPECT_EQ(scaler.get_growth_factor(), 3.0);
  EXPECT_EQ(scaler.get_backoff_factor(), 0.25);
  EXPECT_EQ(scaler.get_growth_interval(), 7);
}

// Every field takes part: two clean steps and four overflows go on as if nothing had happened.
TEST(GradScaler, S1_12_AResumedScalerGoesOnAsTheOriginal) {
  const GradScalerOptions options = {
      .init_scale = 64.0, .growth_interval = 3, .hysteresis = 2, .max_consecutive_skips = 3};
  const Values clean = {1.0, 1.0, 1.0};
  const Values bad = {kInf, 1.0, 1.0};
  Training original(options);
  original.iterate(clean);
  original.iterate(clean);
  Training resumed({.init_scale = 1.0, .hysteresis = 2, .max_consecutive_skips = 3});
  resumed.scaler.load_state_dict(original.scaler.state_dict());
  for (auto* training : {&original, &resumed}) {
    training->iterate(clean);
    EXPECT_EQ(training->scaler.get_scale(), 128.0) << "the third clean step";
    training->iterate(bad);
  }
  Training again({.init_scale = 1.0, .hysteresis = 2, .max_consecutive_skips = 3});
  again.scaler.load_state_dict(original.scaler.state_dict());
  again.iterate(bad);
  EXPECT_EQ(again.scaler.get_scale(), 64.0) << "the second overflow";
  EXPECT_THROW(again.iterate(bad), NumericalError) << "the third skip in a row";
}

TEST(GradScaler, S1_12_ADisabledScalersStateIsEmpty) {
  GradScaler disabled({.enabled = false});
  EXPECT_TRUE(disabled.state_dict().empty());
  disabled.load_state_dict(kUsable);
  EXPECT_EQ(disabled.get_scale(), 1.0);
  EXPECT_TRUE(disabled.state_dict().empty());
  disabled.load_state_dict({});
}

TEST(GradScaler, S1_12_AnEmptyStateIsRefused) {
  GradScaler scaler({.init_scale = 8.0});
  EXPECT_THAT([&] { scaler.load_state_dict({}); }, ThrowsMessage<StateError>(HasSubstr("empty")));
  EXPECT_EQ(scaler.get_scale(), 8.0);
}

TEST(GradScaler, S8_7_ThereIsNoStateInTheMiddleOfAnIteration) {
  Training training;
  training.backward({1.0, 1.0, 1.0});
  EXPECT_NO_THROW(training.scaler.state_dict());
  const auto amid = ThrowsMessage<StateError>(HasSubstr("take it after update()"));
  training.scaler.unscale_(training.optimizer);
  EXPECT_THAT([&] { training.scaler.state_dict(); }, amid);
  training.scaler.step(training.optimizer);
  EXPECT_THAT([&] { training.scaler.state_dict(); }, amid);
  training.scaler.update();
  EXPECT_EQ(training.scaler.state_dict().growth_tracker, 1);
}

TEST(GradScaler, S8_7_ABadStateIsRefusedAndNothingOfItIsTaken) {
  const auto refuses = [](GradScalerState state, const std::string& field) {
    GradScaler scaler({.init_scale = 8.0, .growth_interval = 5, .hysteresis = 2});
    const auto before = scaler.state_dict();
    EXPECT_THAT([&] { scaler.load_state_dict(state); },
                ThrowsMessage<InvalidArgument>(HasSubstr(field)));
    EXPECT_TRUE(equal(scaler.state_dict(), before)) << field;
  };
  const auto with = [](auto change) {
    auto state = kUsable;
    change(state);
    return state;
  };
  refuses(with([](auto& state) { state.scale = -1.0; }), "scale");
  // With each of these every step would be skipped, for ever: 1 / 1e-39 is more than fp32 has.
  for (const double scale : {kNaN, kInf, 0.0, 1e39, 1e-46, 1e-39, 2.9e-39})
    refuses(with([&](auto& state) { state.scale = scale; }), "65536 for one");
  refuses(with([](auto& state) { state.growth_factor = 1.0; }), "growth_factor");
  refuses(with([](auto& state) { state.backoff_factor = 1.5; }), "backoff_factor");
  refuses(with([](auto& state) { state.growth_interval = 0; }), "growth_interval");
  refuses(with([](auto& state) { state.growth_tracker = -1; }), "growth_tracker");
  refuses(with([](auto& state) { state.hysteresis_left = -1; }), "hysteresis_left");
  refuses(with([](auto& state) { state.consecutive_skips = -1; }), "consecutive_skips");
}

TEST(GradScaler, S8_3_ALoadedScaleIsTakenExactlyAlsoOutsideTheRails) {
  GradScaler scaler({.init_scale = 8.0, .min_scale = 4.0, .max_scale = 16.0});
  for (const double scale : {1.0, 1024.0, 0x1p-127, 0x1.fffffep127}) {
    auto state = kUsable;
    state.scale = scale;
    scaler.load_state_dict(state);
    EXPECT_EQ(scaler.get_scale(), scale);
  }
}

// A refused state in the middle of an iteration changes nothing there either.
TEST(GradScaler, S8_3_ARefusedStateLeavesTheIterationAsItWas) {
  Training training;
  training.backward({8.0, 16.0, -8.0});
  training.scaler.unscale_(training.optimizer);
  auto state = kUsable;
  state.scale = kInf;
  EXPECT_THROW(training.scaler.load_state_dict(state), InvalidArgument);
  EXPECT_TRUE(training.scaler.step(training.optimizer).stepped());
  EXPECT_THAT(values(training.weight), AreExactly(Values{0.0, -4.0, 5.0}));
  training.scaler.update();
  EXPECT_EQ(training.scaler.get_scale(), 8.0);
}

TEST(GradScaler, S8_3_CountsAtTheEndOfTheirTypeDoNotWrap) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  Training training;
  auto state = kUsable;
  state.growth_interval = state.growth_tracker = state.consecutive_skips = most;
  training.scaler.load_state_dict(state);
  EXPECT_TRUE(training.iterate({kInf, 1.0, 1.0}).skipped());
  EXPECT_EQ(training.scaler.state_dict().consecutive_skips, most);
  state.scale = 8.0;
  training.scaler.load_state_dict(state);
  EXPECT_TRUE(training.iterate({1.0, 1.0, 1.0}).stepped());
  EXPECT_EQ(training.scaler.state_dict().growth_tracker, 0) << "it had passed the interval";
}

}  // namespace
}  // namespace amp::tests::state_test
