// States as files: what is written comes back, and what Python, Apex and DeepSpeed wrote is read.
#include <cmath>

#include "src/grad_scaler/scale_rule.h"
#include "tests/grad_scaler/state_files.h"

namespace amp::tests::state_file_test {
namespace {

using ampersand::tests::error_of;
using testing::ElementsAreArray;
using testing::HasSubstr;

TEST_F(StateFile, S8_7_AStateComesBackExactly) {
  constexpr std::int64_t large = std::numeric_limits<std::int64_t>::max();
  for (const auto& state :
       {kState, GradScalerState{65536, 2, 0.5, 2000, 0, 1, 0},
        GradScalerState{0x1.fffffep127, 1e300, 5e-324, large, (1LL << 31) + 1, 1LL << 40, large},
        GradScalerState{0x1p-127, 1.5, std::nextafter(1.0, 0.0), 1, 255, 65536, 256}}) {
    save_state(state, path_);
    EXPECT_THAT(fields_of(load_state(path_)), ElementsAreArray(fields_of(state)));
    EXPECT_EQ(load_state(path_).growth_interval, state.growth_interval);
    EXPECT_EQ(load_state(path_).consecutive_skips, state.consecutive_skips);
  }
}

TEST_F(StateFile, S8_3_AScaleThatSkipsForEverIsNeitherWrittenNorRead) {
  for (const double scale : {kInfinity, 0.0, 1e-39, std::nan("")}) {
    auto state = kState;
    state.scale = scale;
    EXPECT_THAT(error_of<InvalidArgument>([&] { save_state(state, path_); }),
                HasSubstr("65536 for one"))
        << scale;
    EXPECT_FALSE(std::filesystem::exists(path_));
  }
}

TEST_F(StateFile, S8_7_AScalerGoesOnFromAFile) {
  GradScaler scaler({.growth_interval = 9});
  scaler.load_state_dict(kState);
  save_state(scaler.state_dict(), path_);
  GradScaler other;
  other.load_state_dict(load_state(path_));
  EXPECT_THAT(fields_of(other.state_dict()), ElementsAreArray(fields_of(scaler.state_dict())));
  EXPECT_EQ(other.get_growth_interval(), 7);
}

TEST_F(StateFile, S8_7_ADisabledScalersStateIsAnEmptyDict) {
  EXPECT_TRUE(load(saved(GradScaler({.enabled = false}).state_dict())).empty());
  EXPECT_TRUE(load(older_file("}")).empty());
}

TEST_F(StateFile, S8_7_PythonsFilesAreRead) {
  for (const auto& one : cases("states")) {
    const auto state = load(from_base64(one["file"]));
    EXPECT_THAT(fields_of(state), ElementsAreArray(numbers(one["state"]))) << one["name"];
  }
}

TEST_F(StateFile, S8_7_WhatIsNoStateIsRefusedByName) {
  for (const auto& one : cases("refused")) {
    EXPECT_THAT(refusal(from_base64(one["file"])), HasSubstr(one["says"].get<std::string>()));
  }
  EXPECT_FALSE(std::filesystem::exists("ampersand-was-here")) << "a file was run";
}

TEST_F(StateFile, S8_7_OtherFilesAreRefused) {
  EXPECT_EQ(error_of([&] { load_state(folder_.path() / "none.pt"); }),
            (folder_.path() / "none.pt").string() + ": no such file");
  EXPECT_THAT(error_of([&] { load_state(folder_.path()); }), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal(""), HasSubstr("no file that Python's torch.save wrote"));
  EXPECT_THAT(refusal("{\"scale\": 2}"), HasSubstr("no file that Python's torch.save wrote"));
  EXPECT_THAT(refusal(std::string(65537, 'x')), HasSubstr("plain data of a loss scaler: 65537"));
  EXPECT_THAT(refusal(older_file("}") + "x"), HasSubstr("damaged after its first value"));
}

TEST_F(StateFile, S8_7_AStateNoScalerCanHaveIsNotWritten) {
  const auto before = saved(kState);
  auto state = kState;
  state.growth_factor = 1;
  EXPECT_THAT(error_of<InvalidArgument>([&] { save_state(state, path_); }),
              HasSubstr("growth_factor must be > 1"));
  EXPECT_THAT(fields_of(load_state(path_)), ElementsAreArray(fields_of(kState)));
  EXPECT_THAT(error_of([&] { save_state(kState, folder_.path() / "none" / "x.pt"); }),
              HasSubstr("x.pt: cannot be created"));
}

// What a state is made of stands behind a checksum: a flip is noticed, or was elsewhere.
// Deep and circular values, which a reader that recursed would not survive.
// Clean steps until the scale grows.
int grows_after(const GradScalerState& state) {
  scaling::Scale scale{static_cast<float>(state.scale), state.growth_tracker, state.hysteresis_left,
                       state.consecutive_skips};
  const scaling::Rule rule{.growth_factor = state.growth_factor,
                           .backoff_factor = state.backoff_factor,
                           .growth_interval = state.growth_interval};
  for (int steps = 1; steps < 100000; ++steps) {
    scale = next_scale(scale, rule, false);
    if (scale.value != static_cast<float>(state.scale)) return steps;
  }
  return 0;
}

TEST_F(StateFile, S8_7_ApexsScaleGrowsAtTheSameStep) {
  for (const auto& one : cases("apex")) {
    const auto states = load_apex_state(with(from_base64(one["file"])));
    ASSERT_EQ(states.size(), 2U);
    EXPECT_EQ(states[0].scale, one["scale"]);
    EXPECT_EQ(states[0].backoff_factor, 0.5);
    EXPECT_EQ(grows_after(states[0]), one["grows_after"]);
    EXPECT_THAT(fields_of(states[1]), ElementsAreArray({65536.0, 2.0, 0.5, 2000.0, 0.0, 1.0, 0.0}));
    GradScaler().load_state_dict(states[0]);
  }
}

TEST_F(StateFile, S8_7_DeepSpeedsScaleGrowsAtTheSameStep) {
  for (const auto& one : cases("deepspeed")) {
    const auto state = load_deepspeed_state(with(from_base64(one["file"])));
    EXPECT_EQ(state.scale, one["scale"]);
    EXPECT_EQ(state.growth_factor, 2.0);
    EXPECT_EQ(state.backoff_factor, 0.5);
    EXPECT_EQ(state.growth_interval, one["window"]);
    EXPECT_EQ(state.hysteresis_left, one["hysteresis_left"]);
    const int sooner = one["right_after_overflow"].get<bool>() ? 1 : 0;
    EXPECT_EQ(grows_after(state), one["grows_after"].get<int>() - sooner)
        << one["steps"] << " at scale_window " << one["window"];
    GradScaler().load_state_dict(state);
  }
}

TEST_F(StateFile, S8_7_OthersFilesWithoutAStateAreRefused) {
  for (const auto& one : cases("others_refused")) {
    const auto& path = with(from_base64(one["file"]));
    const auto message = error_of([&] {
      if (one["of"] == "apex") {
        load_apex_state(path);
      } else {
        load_deepspeed_state(path);
      }
    });
    EXPECT_THAT(message, HasSubstr(one["says"].get<std::string>()));
  }
}

}  // namespace
}  // namespace amp::tests::state_file_test
