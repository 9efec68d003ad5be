// scale(), the options and the setters.
#include <gtest/gtest.h>

#include "amp/error.h"
#include "tests/support/golden.h"
#include "tests/support/training.h"

namespace amp::tests::scale_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

// What the constructor says about these options.
auto refuses(const std::string& name, const std::string& rule, const std::string& value) {
  return ThrowsMessage<InvalidArgument>(
      AllOf(HasSubstr("GradScaler: " + name), HasSubstr(rule), HasSubstr("got " + value)));
}

auto making(const GradScalerOptions& options) {
  return [options] { GradScaler scaler(options); };
}

TEST(GradScaler, S1_1_DefaultsAreTorchs) {
  const GradScaler scaler;
  EXPECT_EQ(scaler.get_scale(), 65536.0);
  EXPECT_EQ(scaler.get_growth_factor(), 2.0);
  EXPECT_EQ(scaler.get_backoff_factor(), 0.5);
  EXPECT_EQ(scaler.get_growth_interval(), 2000);
  EXPECT_TRUE(scaler.is_enabled());
}

TEST(GradScaler, S1_1_EveryOptionIsValidated) {
  EXPECT_THAT(making({.growth_factor = 1.0}), refuses("growth_factor", "> 1", "1"));
  EXPECT_THAT(making({.growth_factor = kInf}), refuses("growth_factor", "finite", "inf"));
  EXPECT_THAT(making({.growth_factor = kNaN}), refuses("growth_factor", "> 1", "nan"));
  EXPECT_THAT(making({.backoff_factor = 1.0}), refuses("backoff_factor", "between 0 and 1", "1"));
  EXPECT_THAT(making({.backoff_factor = 0.0}), refuses("backoff_factor", "between 0 and 1", "0"));
  EXPECT_THAT(making({.backoff_factor = -0.5}), refuses("backoff_factor", "between 0", "-0.5"));
  EXPECT_THAT(making({.growth_interval = 0}), refuses("growth_interval", ">= 1", "0"));
  EXPECT_THAT(making({.hysteresis = 0}), refuses("hysteresis", ">= 1", "0"));
  EXPECT_THAT(making({.max_consecutive_skips = -1}),
              refuses("max_consecutive_skips", ">= 0", "-1"));
  EXPECT_THAT(making({.init_scale = 0.0}), refuses("init_scale", "finite and positive", "0"));
  EXPECT_THAT(making({.init_scale = kNaN}), refuses("init_scale", "finite and positive", "nan"));
  EXPECT_THAT(making({.init_scale = 1e39}), refuses("init_scale", "max_scale", "1e+39"));
  EXPECT_THAT(making({.min_scale = 0.0}), refuses("min_scale", "positive", "0"));
  EXPECT_THAT(making({.max_scale = kInf}), refuses("max_scale", "finite", "inf"));
}

TEST(GradScaler, S8_3_AnInitialScaleOutsideTheRailsIsRefused) {
  EXPECT_THAT(making({.init_scale = 4.0, .min_scale = 8.0}), refuses("init_scale", "[8, ", "4"));
  EXPECT_THAT(making({.init_scale = 4.0, .max_scale = 2.0}), refuses("init_scale", ", 2]", "4"));
  EXPECT_THAT(making({.init_scale = 4.0, .min_scale = 8.0, .max_scale = 2.0}),
              refuses("max_scale", "at least min_scale", "2"));
  EXPECT_NO_THROW(making({.init_scale = 4.0, .min_scale = 4.0, .max_scale = 4.0})());
  // 1 / 1e-39 is more than fp32 has: every step would be skipped once the scale is there.
  EXPECT_THAT(making({.min_scale = 1e-39}), refuses("min_scale", "reciprocal", "1e-39"));
  EXPECT_THAT(making({.init_scale = 1e-39, .min_scale = 1e-45}),
              refuses("min_scale", "reciprocal", "1e-45"));
  EXPECT_NO_THROW(making({.init_scale = 0x1p-127, .min_scale = 0x1p-127})());
}

TEST(GradScaler, S8_6_SettersValidateAsTheConstructorDoes) {
  GradScaler scaler;
  EXPECT_THAT([&] { scaler.set_growth_factor(1.0); }, refuses("growth_factor", "> 1", "1"));
  EXPECT_THAT([&] { scaler.set_backoff_factor(1.0); }, refuses("backoff_factor", "between", "1"));
  EXPECT_THAT([&] { scaler.set_growth_interval(0); }, refuses("growth_interval", ">= 1", "0"));
  EXPECT_EQ(scaler.get_growth_factor(), 2.0);
  EXPECT_EQ(scaler.get_backoff_factor(), 0.5);
  EXPECT_EQ(scaler.get_growth_interval(), 2000);
  scaler.set_growth_factor(3.0);
  scaler.set_backoff_factor(0.25);
  scaler.set_growth_interval(7);
  EXPECT_EQ(scaler.get_growth_factor(), 3.0);
  EXPECT_EQ(scaler.get_backoff_factor(), 0.25);
  EXPECT_EQ(scaler.get_growth_interval(), 7);
}

TEST(GradScaler, S1_2_TheScaleIsKnownBeforeItIsUsed) {
  EXPECT_EQ(GradScaler({.init_scale = 3.0}).get_scale(), 3.0);
  EXPECT_EQ(GradScaler({.init_scale = 0.1}).get_scale(), 0.100000001490116119384765625);
  EXPECT_EQ(GradScaler({.init_scale = 3.0, .enabled = false}).get_scale(), 1.0);
}

TEST(GradScaler, S1_3_ScaledValuesAndDtypesAreTorchs) {
  const auto file = golden("grad_scaler.json");
  ASSERT_GE(file["scale"].size(), 20u);
  for (const auto& given : file["scale"]) {
    SCOPED_TRACE(given.dump());
    GradScaler scaler({.init_scale = given["init_scale"]});
    const auto shape = given["shape"].get<std::vector<std::int64_t>>();
    const auto loss = tensor(numbers(given["values"]), dtype_named(given["dtype"])).reshape(shape);
    const auto scaled = scaler.scale(loss);
    EXPECT_EQ(scaled.scalar_type(), dtype_named(given["result_dtype"]));
    EXPECT_EQ(scaled.sizes(), loss.sizes());
    EXPECT_THAT(values(scaled), AreExactly(numbers(given["result"])));
  }
}

TEST(GradScaler, S1_3_AHalfLossIsScaledInFp32) {
  GradScaler scaler;
  const auto scaled = scaler.scale(at::scalar_tensor(2.0, at::kHalf));
  EXPECT_EQ(scaled.scalar_type(), at::kFloat);
  EXPECT_EQ(scaled.item<double>(), 131072.0);
}

TEST(GradScaler, S1_3_AListIsScaledOneByOne) {
  GradScaler scaler({.init_scale = 4.0});
  const std::vector<at::Tensor> outputs = {tensor({1.0, 2.0}), tensor({3.0})};
  const auto scaled = scaler.scale(outputs);
  ASSERT_EQ(scaled.size(), 2u);
  EXPECT_THAT(values(scaled[0]), AreExactly(Values{4.0, 8.0}));
  EXPECT_THAT(values(scaled[1]), AreExactly(Values{12.0}));
  EXPECT_TRUE(scaler.scale(std::vector<at::Tensor>{}).empty());
}

TEST(GradScaler, S1_3_AnUndefinedLossIsRefused) {
  GradScaler scaler;
  EXPECT_THAT([&] { scaler.scale(at::Tensor()); },
              ThrowsMessage<InvalidArgument>(HasSubstr("undefined")));
}

TEST(GradScaler, S1_3_TheScaledLossBackpropagatesScaledGradients) {
  Training training({.init_scale = 1024.0});
  training.backward({1.0, -3.0, 0.5});
  EXPECT_THAT(values(training.weight.grad()), AreExactly(Values{1024.0, -3072.0, 512.0}));
}

TEST(GradScaler, S1_2_DisabledEverythingPassesThrough) {
  Training training({.init_scale = 1024.0, .enabled = false});
  auto& scaler = training.scaler;
  const auto loss = training.weight.sum();
  EXPECT_TRUE(scaler.scale(loss).is_same(loss));
  set_gradient(training.weight, {8.0, kInf, 8.0});
  scaler.unscale_(training.optimizer);
  scaler.unscale_(training.optimizer);
  EXPECT_THAT(values(training.weight.grad()), AreExactly(Values{8.0, kInf, 8.0}));
  EXPECT_TRUE(scaler.step(training.optimizer).stepped());
  EXPECT_THAT(values(training.weight), AreExactly(Values{0.0, -kInf, 3.0}));
  scaler.update();
  scaler.update(3.0);
  EXPECT_EQ(scaler.get_scale(), 1.0);
  EXPECT_FALSE(scaler.is_enabled());
}

// The rule itself is tested in scale_rule_test.cpp; here, that the options and setters reach it.
TEST(GradScaler, S6_6_LoweringTheIntervalBelowTheTrackerDoesNotFreezeGrowth) {
  Training training({.init_scale = 4.0, .growth_interval = 10});
  for (int i = 0; i < 5; ++i) training.iterate({1.0, 1.0, 1.0});
  training.scaler.set_growth_interval(3);
  training.iterate({1.0, 1.0, 1.0});
  EXPECT_EQ(training.scaler.get_scale(), 8.0);
}

TEST(GradScaler, S6_8_TheHysteresisOptionForgivesAnOverflow) {
  Training training({.init_scale = 8.0, .hysteresis = 2});
  EXPECT_TRUE(training.iterate({kInf, 1.0, 1.0}).skipped());
  EXPECT_EQ(training.scaler.get_scale(), 8.0);
  training.iterate({1.0, 1.0, 1.0});
  training.iterate({kInf, 1.0, 1.0});
  EXPECT_EQ(training.scaler.get_scale(), 8.0) << "refilled";
  training.iterate({kInf, 1.0, 1.0});
  EXPECT_EQ(training.scaler.get_scale(), 4.0);
}

TEST(GradScaler, S8_3_TheRailsHoldOverManyIterations) {
  Training training({.init_scale = 8.0, .growth_interval = 1, .min_scale = 3.0, .max_scale = 20.0});
  for (int i = 0; i < 4; ++i) training.iterate({1.0, 1.0, 1.0});
  EXPECT_EQ(training.scaler.get_scale(), 16.0);
  for (int i = 0; i < 4; ++i) training.iterate({kInf, 1.0, 1.0});
  EXPECT_EQ(training.scaler.get_scale(), 3.0);
}

TEST(GradScaler, S6_7_ByDefaultTheScaleNeverReachesZero) {
  Training training;
  for (int i = 0; i < 200; ++i) training.iterate({kInf, 1.0, 1.0});
  EXPECT_EQ(training.scaler.get_scale(), 0x1p-126);
}

}  // namespace
}  // namespace amp::tests::scale_test
