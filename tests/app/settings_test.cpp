// The rules of each option: what is accepted at the border, and what is said about a value outside.
#include "app/settings/settings.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/app/errors.h"

namespace ampersand::tests::settings_test {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

template <class Value>
void expect_accepted(Value Settings::*field, std::initializer_list<Value> values) {
  for (const auto value : values) {
    Settings settings;
    settings.*field = value;
    EXPECT_NO_THROW(check_settings(settings)) << value;
  }
}

// rule: what follows the option's name, up to the value.
template <class Value>
void expect_refused(Value Settings::*field, const std::string& rule,
                    std::initializer_list<std::pair<Value, const char*>> values) {
  for (const auto& [value, shown] : values) {
    Settings settings;
    settings.*field = value;
    EXPECT_EQ(error_of<amp::InvalidArgument>([&] { check_settings(settings); }),
              rule + ", got " + shown);
  }
}

TEST(Settings, DefaultsAreFine) { EXPECT_NO_THROW(check_settings(Settings())); }

TEST(Settings, LearningRate) {
  expect_accepted(&Settings::learning_rate, {1e-300, 0.05, 1e30});
  expect_refused(
      &Settings::learning_rate, "--lr must be finite and positive",
      {{0.0, "0"}, {-0.1, "-0.1"}, {kNan, "nan"}, {kInfinity, "inf"}, {-kInfinity, "-inf"}});
}

TEST(Settings, Momentum) {
  expect_accepted(&Settings::momentum, {0.0, 0.999});
  expect_refused(&Settings::momentum, "--momentum must be at least 0 and below 1",
                 {{1.0, "1"}, {-0.1, "-0.1"}, {kNan, "nan"}, {kInfinity, "inf"}});
}

TEST(Settings, WeightDecay) {
  expect_accepted(&Settings::weight_decay, {0.0, 10.0});
  expect_refused(&Settings::weight_decay, "--weight-decay must be finite and >= 0",
                 {{-1e-9, "-1e-09"}, {kNan, "nan"}, {kInfinity, "inf"}});
}

TEST(Settings, GradientNorm) {
  expect_accepted(&Settings::max_grad_norm, {0.0, 0.5});
  expect_refused(&Settings::max_grad_norm, "--max-grad-norm must be finite and >= 0 (0: off)",
                 {{-1.0, "-1"}, {kNan, "nan"}, {kInfinity, "inf"}});
}

TEST(Settings, BatchSize) {
  expect_accepted(&Settings::batch_size, {1L, kHuge});
  expect_refused(&Settings::batch_size, "--batch-size must be >= 1", {{0L, "0"}, {-1L, "-1"}});
}

TEST(Settings, Epochs) {
  expect_accepted(&Settings::epochs, {1L, 1'000'000L});
  expect_refused(&Settings::epochs, "--epochs must be between 1 and 1e6",
                 {{0L, "0"}, {-3L, "-3"}, {1'000'001L, "1000001"}});
}

TEST(Settings, Steps) {
  expect_accepted(&Settings::steps, {0L, 1L});
  expect_refused(&Settings::steps, "--steps must be between 0 and 1e12 (0: until the epochs end)",
                 {{-1L, "-1"}, {kHuge, "9223372036854775807"}});
}

TEST(Settings, Accumulation) {
  expect_accepted(&Settings::accumulation, {1L, 64L});
  expect_refused(&Settings::accumulation, "--accumulation must be between 1 and 1e12",
                 {{0L, "0"}, {-1L, "-1"}, {kHuge, "9223372036854775807"}});
}

TEST(Settings, ConsecutiveSkips) {
  expect_accepted(&Settings::max_consecutive_skips, {0L, 1L});
  expect_refused(&Settings::max_consecutive_skips,
                 "--max-consecutive-skips must be >= 0 (0: never stop)", {{-1L, "-1"}});
}

TEST(Settings, Threads) {
  expect_accepted(&Settings::threads, {0L, 1024L});
  expect_refused(&Settings::threads,
                 "--threads must be between 0 and 1024 (0: as many as processors may be used)",
                 {{-1L, "-1"}, {1025L, "1025"}});
}

TEST(Settings, Seed) {
  expect_accepted(&Settings::seed, {0L, 1'000'000'000'000'000L});
  expect_refused(&Settings::seed, "--seed must be between 0 and 1e15",
                 {{-1L, "-1"}, {kHuge, "9223372036854775807"}});
}

TEST(Settings, Samples) {
  expect_accepted(&Settings::train_samples, {0L, 1L});
  expect_refused(&Settings::train_samples, "--train-samples must be >= 0 (0: all)", {{-1L, "-1"}});
  expect_accepted(&Settings::test_samples, {0L, 1L});
  expect_refused(&Settings::test_samples, "--test-samples must be >= 0 (0: all)", {{-1L, "-1"}});
}

TEST(Settings, Schedule) {
  Settings settings;
  for (const char* kind : {"constant", "cosine", "linear"}) {
    settings.schedule = kind;
    EXPECT_NO_THROW(check_settings(settings)) << kind;
  }
  settings.schedule = "step";
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { check_settings(settings); }),
            "--schedule must be constant, cosine or linear, got step");
  expect_accepted(&Settings::warmup, {0L, 100L});
  expect_refused(&Settings::warmup, "--warmup must be between 0 and 1e12 steps", {{-1L, "-1"}});
  expect_accepted(&Settings::ema, {0.0, 0.999});
  expect_refused(&Settings::ema, "--ema must be at least 0 (off) and below 1",
                 {{1.0, "1"}, {-0.5, "-0.5"}, {kNan, "nan"}});
  expect_refused(&Settings::checkpoint_every,
                 "--checkpoint-every must be between 0 (only at the end) and 1e12", {{-1L, "-1"}});
}

TEST(Settings, GoIntoTheResults) {
  Settings settings;
  settings.model = "mlp";
  settings.learning_rate = 0.1;
  settings.loss_scale = "1024";
  const auto described = settings_json(settings);
  EXPECT_EQ(described["model"], "mlp");
  EXPECT_EQ(described["learning_rate"], 0.1);
  EXPECT_EQ(described["loss_scale"], "1024");
  EXPECT_EQ(described["augment"], false);
  EXPECT_FALSE(described.contains("output"));
}

// A run that goes on has the settings it had, but for what was said now and may change.
TEST(Settings, OfAnEarlierRunHoldUnlessGiven) {
  Settings earlier;
  earlier.model = "mlp";
  earlier.learning_rate = 0.1;
  earlier.epochs = 7;
  const auto stored = settings_json(earlier);
  Settings now;
  auto resumed = resumed_settings(stored, now);
  EXPECT_EQ(settings_json(resumed), stored);
  now.epochs = 9;
  now.given = {"--epochs"};
  resumed = resumed_settings(stored, now);
  EXPECT_EQ(resumed.epochs, 9);
  EXPECT_EQ(resumed.model, "mlp");
  now.batch_size = 64;
  now.given = {"--batch-size"};
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { resumed_settings(stored, now); }),
            "--batch-size cannot change in a run that is resumed, which has 128; leave it out, or "
            "start a new run");
  now.batch_size = 128;  // the same: no change
  EXPECT_NO_THROW(resumed_settings(stored, now));
}

}  // namespace
}  // namespace ampersand::tests::settings_test
