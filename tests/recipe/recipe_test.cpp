// Recipe: the named choices, and what validate() refuses.
#include "amp/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "amp/error.h"

namespace amp::tests {
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

}  // namespace
}  // namespace amp::tests
