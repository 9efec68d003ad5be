// diagnose() over evidence that is made up.
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "amp/inspect/diagnosis.h"

namespace amp::tests::diagnose_test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

FirstNonFinite softmax_overflow() {
  FirstNonFinite fault;
  fault.step = 412;
  fault.op = "_softmax";
  fault.called_as = "softmax";
  fault.module = "block3.attn";
  fault.dtype = "fp16";
  fault.input_amax = 7.1e4;
  fault.in_cast = true;
  fault.loss_scale = 65536;
  fault.evaluated = fault.finite_in_wide = true;
  fault.wide_amax = 7.1e4;
  return fault;
}

Evidence with(const FirstNonFinite& fault) {
  Evidence evidence;
  evidence.steps.push_back({.step = fault.step, .recorded = true, .loss_scale = fault.loss_scale});
  evidence.steps.back().non_finite = fault;
  return evidence;
}

TEST(Diagnose, NothingIsClean) {
  const auto d = diagnose({});
  EXPECT_EQ(d.verdict, Verdict::clean);
  EXPECT_EQ(d.step, -1);
}

TEST(Diagnose, SaysStepOpNumberFormatPassAndRemedy) {
  EXPECT_EQ(diagnose(with(softmax_overflow())).sentence,
            "step 412: block3.attn softmax's input reached 71000 in fp16 (max 65504) in the "
            "forward pass; "
            "the loss scale is not the cause; keep this op in fp32 or use bf16");
}

TEST(Diagnose, AnOpThatNoFormatHelpsIsTheModels) {
  auto fault = softmax_overflow();
  fault.finite_in_wide = false;
  EXPECT_EQ(diagnose(with(fault)).verdict, Verdict::model_nan);
}

TEST(Diagnose, AGradientThatFitsUnscaledIsTheScales) {
  auto fault = softmax_overflow();
  fault.in_cast = false;
  fault.pass = Pass::backward;
  fault.wide_amax = 1e5;
  EXPECT_EQ(diagnose(with(fault)).verdict, Verdict::scale_overflow);
  fault.loss_scale = 1;  // and one that does not is not
  EXPECT_EQ(diagnose(with(fault)).verdict, Verdict::forward_overflow);
  fault.loss_scale = 1.5;
  EXPECT_EQ(diagnose(with(fault)).verdict, Verdict::forward_overflow);
}

Evidence training(int steps, const std::vector<int>& overflows) {
  Evidence evidence;
  for (int i = 0; i < steps; ++i)
    evidence.steps.push_back({.step = i, .loss_scale = 65536, .loss = 2.0});
  for (const int step : overflows) {
    auto fault = softmax_overflow();
    fault.step = step;
    fault.pass = Pass::backward;
    fault.in_cast = false;
    evidence.steps[static_cast<std::size_t>(step)].skipped = true;
    evidence.steps[static_cast<std::size_t>(step)].non_finite = fault;
  }
  return evidence;
}

TEST(Diagnose, RareSkipsOfADynamicScaleAreClean) {
  EXPECT_EQ(diagnose(training(100, {0, 1, 2, 3, 50})).verdict, Verdict::clean);
  EXPECT_EQ(diagnose(training(20, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})).verdict, Verdict::clean);
}

TEST(Diagnose, SkipsThatDoNotEndOrComeOftenAreNot) {
  EXPECT_EQ(diagnose(training(3, {0, 1, 2})).verdict, Verdict::scale_overflow);
  EXPECT_EQ(diagnose(training(20, {0, 5, 8, 11, 14, 17})).verdict, Verdict::scale_overflow);
  auto fixed = training(100, {50});
  fixed.dynamic_scaling = false;
  EXPECT_EQ(diagnose(fixed).verdict, Verdict::scale_overflow);
}

TEST(Diagnose, AFaultBehindANormalSkipIsFound) {
  auto evidence = training(100, {0, 1});
  auto fault = softmax_overflow();
  fault.step = 60;
  evidence.steps[60].non_finite = fault;
  const auto d = diagnose(evidence);
  EXPECT_EQ(d.verdict, Verdict::forward_overflow);
  EXPECT_EQ(d.step, 60);
}

TEST(Diagnose, DataAndTargetsComeFirst) {
  auto fault = softmax_overflow();
  fault.origin = FirstNonFinite::Origin::data;
  fault.detail = "NaN";
  EXPECT_EQ(diagnose(with(fault)).verdict, Verdict::bad_data);
  fault.origin = FirstNonFinite::Origin::target;
  EXPECT_EQ(diagnose(with(fault)).verdict, Verdict::bad_data);
}

TEST(Diagnose, AnOverflowAfterGrowthIsDivergence) {
  auto evidence = training(10, {});
  for (int i = 0; i < 10; ++i)
    evidence.steps[static_cast<std::size_t>(i)].weight_amax = 0.1 * (1 << i);
  auto fault = softmax_overflow();
  fault.step = 9;
  evidence.steps[9].non_finite = fault;
  const auto d = diagnose(evidence);
  EXPECT_EQ(d.verdict, Verdict::divergence);
  EXPECT_EQ(d.step, 9);
  EXPECT_NE(d.sentence.find("the largest weight grew 512-fold to 51.2"), std::string::npos)
      << d.sentence;
}

TEST(Diagnose, GrowthAloneIsDivergenceAndAHardBatchIsNot) {
  auto evidence = training(10, {});
  evidence.steps[9].loss = 400.0;
  EXPECT_EQ(diagnose(evidence).verdict, Verdict::clean);
  evidence.steps[9].loss = 1e7;
  EXPECT_EQ(diagnose(evidence).verdict, Verdict::divergence);
}

TEST(Diagnose, AWeightThatWasNotFiniteBeforeIsDivergence) {
  FirstNonFinite fault;
  fault.step = 5;
  fault.origin = FirstNonFinite::Origin::parameter;
  fault.parameter = "head.0.weight";
  fault.detail = "Inf";
  const auto d = diagnose(with(fault));
  EXPECT_EQ(d.verdict, Verdict::divergence);
  EXPECT_EQ(d.parameter, "head.0.weight");
}

Evidence flushed(double share, double backward_amax) {
  auto evidence = training(10, {});
  for (auto& step : evidence.steps) {
    step.loss_scale = 8;
    step.flushed = share;
    step.flushed_op = "linear";
    step.flushed_module = "fc1";
    step.flushed_amax = backward_amax;
    step.backward_amax = backward_amax;
  }
  return evidence;
}

TEST(Diagnose, GradientsThatAreFlushedWhereTheScaleHasRoom) {
  const auto d = diagnose(flushed(0.67, 0x1p-10));
  EXPECT_EQ(d.verdict, Verdict::underflow);
  EXPECT_EQ(d.op, "linear");
  EXPECT_EQ(d.module, "fc1");
  // 65504 / 4 over 2^-10 is a little below 2^24: times 8, down to a power of two, 2^26.
  EXPECT_EQ(d.remedy, "use dynamic loss scaling, or a scale of 1.7e7");
  EXPECT_NE(d.sentence.find("67 % of its gradients are zero in fp16"), std::string::npos)
      << d.sentence;
  EXPECT_EQ(diagnose(flushed(0.05, 0x1p-10)).verdict, Verdict::clean);
  EXPECT_EQ(diagnose(flushed(0.67, 0x1p14)).verdict, Verdict::clean);  // no scale would help
}

TEST(Diagnose, TheJsonHasTheFieldsOfTheDoctor) {
  auto fault = softmax_overflow();
  fault.input_amax = kInfinity;
  const auto json = nlohmann::json::parse(to_json(diagnose(with(fault))));
  EXPECT_EQ(json["verdict"], "forward_overflow");
  EXPECT_EQ(json["step"], 412);
  EXPECT_EQ(json["pass"], "forward");
  EXPECT_EQ(json["op"], "softmax");
  EXPECT_EQ(json["module"], "block3.attn");
  EXPECT_TRUE(json["parameter"].is_null());
  EXPECT_TRUE(json["amax"].is_null());  // JSON has no Inf
  EXPECT_EQ(json["loss_scale"], 65536);
  EXPECT_EQ(json["remedy"], "keep this op in fp32 or use bf16");
  const auto clean = nlohmann::json::parse(to_json(diagnose({})));
  EXPECT_EQ(clean["verdict"], "clean");
  EXPECT_TRUE(clean["step"].is_null());
}

}  // namespace
}  // namespace amp::tests::diagnose_test
