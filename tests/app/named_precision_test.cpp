// The names of precisions: what each stands for, and what is refused.
#include "app/training/named_precision.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/app/errors.h"

namespace ampersand::tests::named_precision_test {
namespace {

using amp::LossScaling;

std::string refusal(const std::string& name) {
  return error_of<amp::InvalidArgument>([&] { parse_precision(name); });
}

std::string list_refusal(const std::string& list) {
  return error_of<amp::InvalidArgument>([&] { parse_precisions(list); });
}

TEST(Precision, NamesStandForRecipes) {
  struct Case {
    const char* name;
    c10::ScalarType dtype;
    LossScaling scaling;
  };
  for (const auto& expected : {Case{"fp32", c10::kFloat, LossScaling::none},
                               Case{"bf16", c10::kBFloat16, LossScaling::none},
                               Case{"fp16", c10::kHalf, LossScaling::dynamic},
                               Case{"fp16-unscaled", c10::kHalf, LossScaling::none},
                               Case{"fp16-scale-1024", c10::kHalf, LossScaling::fixed}}) {
    const auto precision = parse_precision(expected.name);
    EXPECT_EQ(precision.name, expected.name);
    EXPECT_EQ(precision.recipe.compute_dtype, expected.dtype) << expected.name;
    EXPECT_EQ(precision.recipe.loss_scaling, expected.scaling) << expected.name;
  }
}

TEST(Precision, TheScaleIsInTheName) {
  EXPECT_EQ(parse_precision("fp16-scale-1024").recipe.static_scale, 1024);
  EXPECT_EQ(parse_precision("fp16-scale-0.5").recipe.static_scale, 0.5);
  EXPECT_EQ(parse_precision("fp16-scale-1e30").recipe.static_scale, 1e30);
  EXPECT_EQ(parse_precision("fp16-scale-1.2e-38").recipe.static_scale, 1.2e-38);
  EXPECT_EQ(parse_precision("fp16-scale-3.4e38").recipe.static_scale, 3.4e38);
}

TEST(Precision, RefusesUnknownNames) {
  for (const std::string name : {"", "fp17", "FP16", "fp16 ", " fp16", "fp16-scale", "fp16-"}) {
    EXPECT_EQ(refusal(name),
              "precision must be fp32, bf16, fp16, fp16-unscaled, fp16-scale-N, FORMAT-emulated "
              "(tf32, bf16, fp16, e4m3, e5m2 or fp8) or O0 to O3, got '" +
                  name + "'");
  }
}

TEST(Precision, RefusesScalesThatAreNoPositiveNumbersOfFp32) {
  for (const std::string scale : {"0", "-1", "-0.5", "nan", "inf", "-inf", "1e60", "3.5e38",
                                  "1e-400", "1e-40", "", "abc", "8x", " 8", "0x10", "1,5"}) {
    const auto name = "fp16-scale-" + scale;
    EXPECT_EQ(
        refusal(name),
        name + ": the loss scale must be a finite positive number of fp32, got '" + scale + "'");
  }
}

TEST(Precisions, KeepTheOrderOfTheList) {
  std::vector<std::string> names;
  for (const auto& precision : parse_precisions("fp16,fp32,fp16-scale-8,bf16"))
    names.push_back(precision.name);
  EXPECT_EQ(names, (std::vector<std::string>{"fp16", "fp32", "fp16-scale-8", "bf16"}));
  EXPECT_EQ(parse_precisions("bf16").size(), 1U);
}

TEST(Precisions, RefuseEmptyItems) {
  for (const std::string list : {"", ",", "fp32,", ",fp32", "fp32,,bf16"})
    EXPECT_EQ(list_refusal(list), "--precisions: empty item in '" + list + "'");
}

TEST(Precisions, RefuseTheSameNameTwice) {
  EXPECT_EQ(list_refusal("fp32,bf16,fp32"),
            "--precisions: 'fp32' is given twice in 'fp32,bf16,fp32'");
}

TEST(Precisions, RefuseUnknownNames) {
  EXPECT_EQ(list_refusal("fp32,fp8"),
            "precision must be fp32, bf16, fp16, fp16-unscaled, fp16-scale-N, FORMAT-emulated "
            "(tf32, bf16, fp16, e4m3, e5m2 or fp8) or O0 to O3, got 'fp8'");
}

TEST(LossScale, ReplacesThatOfThePrecision) {
  auto fp16 = parse_precision("fp16");
  set_loss_scale(fp16, "4096");
  EXPECT_EQ(fp16.recipe.loss_scaling, LossScaling::fixed);
  EXPECT_EQ(fp16.recipe.static_scale, 4096);

  auto bf16 = parse_precision("bf16");
  set_loss_scale(bf16, "dynamic");
  EXPECT_EQ(bf16.recipe.loss_scaling, LossScaling::dynamic);
}

TEST(LossScale, IsRefusedWhereTheNameAlreadySaysIt) {
  for (const std::string name : {"fp16-unscaled", "fp16-scale-8"}) {
    auto precision = parse_precision(name);
    EXPECT_EQ(error_of<amp::InvalidArgument>([&] { set_loss_scale(precision, "dynamic"); }),
              "--loss-scale cannot be combined with precision " + name +
                  ", whose name already says how the loss is scaled; use --precision fp16");
  }
}

TEST(LossScale, RefusesWhatIsNoScaleAndLeavesThePrecision) {
  auto fp16 = parse_precision("fp16");
  for (const std::string value : {"0", "-1", "nan", "inf", "1e60", "", "Dynamic", "static"}) {
    EXPECT_EQ(error_of<amp::InvalidArgument>([&] { set_loss_scale(fp16, value); }),
              "--loss-scale: the loss scale must be a finite positive number of fp32, got '" +
                  value + "'");
  }
  EXPECT_EQ(fp16.recipe.loss_scaling, LossScaling::dynamic);
}

TEST(LossScale, HasNamesForTheResults) {
  EXPECT_EQ(loss_scaling_name(LossScaling::none), "none");
  EXPECT_EQ(loss_scaling_name(LossScaling::fixed), "fixed");
  EXPECT_EQ(loss_scaling_name(LossScaling::dynamic), "dynamic");
}

}  // namespace
}  // namespace ampersand::tests::named_precision_test
