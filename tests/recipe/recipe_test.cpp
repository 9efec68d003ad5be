// Recipe: the named choices, and what validate() refuses.
#include "amp/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "amp/error.h"

namespace amp::tests::recipe_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(Recipe, S8_9_TheNamedRecipes) {
  EXPECT_EQ(Recipe::fp32().compute_dtype, c10::kFloat);
  EXPECT_EQ(Recipe::fp32().loss_scaling, LossScaling::none);
  EXPECT_EQ(Recipe::bf16().compute_dtype, c10::kBFloat16);
  EXPECT_EQ(Recipe::bf16().loss_scaling, LossScaling::none);
  EXPECT_EQ(Recipe::fp16().compute_dtype, c10::kHalf);
  EXPECT_EQ(Recipe::fp16().loss_scaling, LossScaling::dynamic);
  for (const auto& recipe : {Recipe::fp32(), Recipe::bf16(), Recipe::fp16()}) {
    EXPECT_EQ(recipe.accumulation, 1);
    EXPECT_EQ(recipe.max_grad_norm, 0.0);
    EXPECT_EQ(recipe.scaler.init_scale, 65536.0);
    EXPECT_NO_THROW(recipe.validate());
  }
}

TEST(Recipe, S8_9_ScalingWithFp32Validates) {
  EXPECT_NO_THROW(Recipe{.loss_scaling = LossScaling::dynamic}.validate());
  EXPECT_NO_THROW(Recipe{.loss_scaling = LossScaling::fixed}.validate());
}

void expect_refused(const Recipe& recipe, const std::string& field, const std::string& value) {
  EXPECT_THAT([&] { recipe.validate(); },
              ThrowsMessage<InvalidArgument>(
                  AllOf(HasSubstr("Recipe: " + field + " must be"), HasSubstr("got " + value))));
}

TEST(Recipe, S8_9_EveryFieldIsValidatedByName) {
  expect_refused({.compute_dtype = c10::kDouble}, "compute_dtype", "Double");
  expect_refused({.compute_dtype = c10::kFloat8_e4m3fn}, "compute_dtype", "Float8_e4m3fn");
  expect_refused({.accumulation = 0}, "accumulation", "0");
  expect_refused({.accumulation = -3}, "accumulation", "-3");
  expect_refused({.max_grad_norm = -1}, "max_grad_norm", "-1");
  expect_refused({.max_grad_norm = kInf}, "max_grad_norm", "inf");
  expect_refused({.max_grad_norm = kNaN}, "max_grad_norm", "nan");
  expect_refused({.static_scale = 0}, "static_scale", "0");
  expect_refused({.static_scale = -2}, "static_scale", "-2");
  expect_refused({.static_scale = kInf}, "static_scale", "inf");
  expect_refused({.static_scale = kNaN}, "static_scale", "nan");
  expect_refused({.static_scale = 1e39}, "static_scale", "1e+39");
  expect_refused({.static_scale = 1e-50}, "static_scale", "1e-50");  // 0 in fp32
}

TEST(Recipe, S8_9_TheSmallestAndLargestScalesPass) {
  EXPECT_NO_THROW(Recipe{.static_scale = std::numeric_limits<float>::max()}.validate());
  EXPECT_NO_THROW(Recipe{.static_scale = 1.0}.validate());
}

TEST(Recipe, ApexsLevels) {
  EXPECT_EQ(Recipe::O0().compute_dtype, c10::kFloat);
  EXPECT_EQ(Recipe::O1().compute_dtype, c10::kHalf);
  EXPECT_EQ(Recipe::O1().model_dtype, c10::kFloat);
  EXPECT_EQ(Recipe::O1().loss_scaling, LossScaling::dynamic);
  EXPECT_EQ(Recipe::O2().model_dtype, c10::kHalf);
  EXPECT_TRUE(Recipe::O2().master_weights);
  EXPECT_TRUE(Recipe::O2().keep_batchnorm_fp32);
  EXPECT_EQ(Recipe::O2().loss_scaling, LossScaling::dynamic);
  EXPECT_EQ(Recipe::O3().model_dtype, c10::kHalf);
  EXPECT_FALSE(Recipe::O3().master_weights);
  EXPECT_FALSE(Recipe::O3().keep_batchnorm_fp32);
  EXPECT_EQ(Recipe::O3().loss_scaling, LossScaling::none);
  for (const auto& recipe : {Recipe::O0(), Recipe::O1(), Recipe::O2(), Recipe::O3()})
    EXPECT_NO_THROW(recipe.validate());
  expect_refused({.model_dtype = c10::kHalf}, "model_dtype", "Half");
  expect_refused({.master_weights = true}, "master_weights", "true");
}

TEST(RecipeJson, HasTheFieldsNamesAndRoundTrips) {
  auto recipe = Recipe::O2();
  recipe.max_grad_norm = 0.1;
  recipe.scaler.init_scale = 1024;
  recipe.accumulation = 3;
  const auto text = recipe.to_json();
  for (const char* field :
       {"\"compute_dtype\": \"fp16\"", "\"model_dtype\": \"fp16\"", "\"master_weights\": true",
        "\"loss_scaling\": \"dynamic\"", "\"max_grad_norm\": 0.1", "\"accumulation\": 3",
        "\"init_scale\": 1024.0", "\"growth_interval\": 2000", "\"restore_buffers\": true"}) {
    EXPECT_THAT(text, HasSubstr(field));
  }
  EXPECT_EQ(Recipe::from_json(text).to_json(), text);
  EXPECT_EQ(Recipe::from_json("{}").to_json(), Recipe{}.to_json());
  EXPECT_FALSE(Recipe::from_json(R"({"restore_buffers": false})").restore_buffers);
  EXPECT_EQ(Recipe::from_json(R"({"compute_dtype": "bf16"})").to_json(), Recipe::bf16().to_json());
}

TEST(RecipeJson, HoldsThePolicy) {
  auto recipe = Recipe::bf16();
  EXPECT_THAT(recipe.to_json(), HasSubstr("\"policy\": null"));
  recipe.policy = OpPolicy::unified().set("softmax.int", CastRule::keep);
  const auto read = Recipe::from_json(recipe.to_json());
  ASSERT_TRUE(read.policy.has_value());
  EXPECT_TRUE(*read.policy == *recipe.policy);
}

TEST(Recipe, ItsRegionHasItsDtypeAndPolicy) {
  auto recipe = Recipe::fp16();
  {
    const auto region = recipe.autocast(c10::kCPU);
    EXPECT_TRUE(is_autocast_enabled(c10::kCPU));
    EXPECT_EQ(autocast_dtype(c10::kCPU), c10::kHalf);
    EXPECT_TRUE(autocast_policy(c10::kCPU) == OpPolicy::fast(c10::kCPU));
  }
  recipe.policy = OpPolicy::unified();
  {
    const auto region = recipe.autocast(c10::kCPU);
    EXPECT_TRUE(autocast_policy(c10::kCPU) == OpPolicy::unified());
  }
  const auto region = Recipe::fp32().autocast(c10::kCPU);
  EXPECT_FALSE(is_autocast_enabled(c10::kCPU));
}

TEST(Recipe, EmulatedFormats) {
  const auto fp8 = Recipe::fp8();
  EXPECT_EQ(fp8.compute_dtype, c10::kFloat);
  EXPECT_TRUE(fp8.emulate == (Emulation{Format::e4m3, Format::e5m2}));
  EXPECT_EQ(fp8.loss_scaling, LossScaling::none);
  EXPECT_TRUE(Recipe::emulated(Format::bf16).emulate == (Emulation{Format::bf16, Format::bf16}));
  EXPECT_EQ(Recipe::emulated(Format::fp16).loss_scaling, LossScaling::dynamic);
  auto both = fp8;
  both.compute_dtype = c10::kHalf;
  EXPECT_THAT([&] { both.validate(); },
              ThrowsMessage<InvalidArgument>(
                  HasSubstr("compute_dtype must be Float where a format is emulated, got Half")));
  const auto region = fp8.autocast(c10::kCPU);
  EXPECT_TRUE(is_autocast_enabled(c10::kCPU));
  EXPECT_EQ(autocast_dtype(c10::kCPU), c10::kFloat);
}

TEST(RecipeJson, HoldsTheEmulatedFormats) {
  const auto text = Recipe::fp8().to_json();
  EXPECT_THAT(text, HasSubstr("\"forward\": \"e4m3\""));
  EXPECT_TRUE(Recipe::from_json(text).emulate == Recipe::fp8().emulate);
  EXPECT_FALSE(Recipe::from_json(R"({"emulate": null})").emulate.has_value());
  const auto refused = [](const char* json, const char* message) {
    EXPECT_THAT([&] { Recipe::from_json(json); },
                ThrowsMessage<InvalidArgument>(HasSubstr(message)))
        << json;
  };
  refused(R"({"emulate": {"forward": "e4m4"}})", "got \"e4m4\"");
  refused(R"({"emulate": {"forwards": "e4m3"}})", "unknown field 'emulate.forwards'");
  refused(R"({"emulate": "e4m3"})", "emulate must be a JSON object");
}

TEST(RecipeJson, BadTextIsNamed) {
  const auto refused = [](const char* text, const char* message) {
    EXPECT_THAT([&] { Recipe::from_json(text); },
                ThrowsMessage<InvalidArgument>(HasSubstr(message)))
        << text;
  };
  refused("{", "not JSON");
  refused("[1]", "must be a JSON object");
  refused(R"({"compute_dtyp": "fp16"})",
          "unknown field 'compute_dtyp'; did you mean 'compute_dtype'?");
  refused(R"({"scaler": {"init_scal": 1}})", "unknown field 'scaler.init_scal'");
  refused(R"({"lr": 1})", "known are compute_dtype, policy, emulate");
  refused(R"({"compute_dtype": "float"})", "must be \"fp32\", \"bf16\" or \"fp16\", got \"float\"");
  refused(R"({"compute_dtype": 16})", "got 16");
  refused(R"({"accumulation": 1.5})", "accumulation must be a whole number, got 1.5");
  refused(R"({"accumulation": 0})", "accumulation must be >= 1");
  refused(R"({"master_weights": 1})", "must be true or false");
  refused(R"({"scaler": 3})", "scaler must be a JSON object");
  refused(R"({"max_grad_norm": "1"})", "must be a number");
  refused(R"({"policy": "unified"})", "policy must be a policy or null, got \"unified\"");
  refused(R"({"policy": {"base": "unifed"}})", "no base 'unifed'; did you mean 'unified'?");
}

}  // namespace
}  // namespace amp::tests::recipe_test
