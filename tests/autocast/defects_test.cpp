// The ten lines that go wrong in torch's autocast (torch_defects_test.cpp) go right with amp::Autocast.
#include "tests/autocast/defects.h"

#include <gtest/gtest.h>

#include "amp/autocast.h"
#include "amp/error.h"

namespace amp::tests::defects_test {
namespace {

// A region with one list of ops for every device.
struct Unified {
  Unified(c10::DeviceType device, c10::ScalarType dtype)
      : autocast(device, dtype, {.policy = OpPolicy::unified()}) {}
  Autocast autocast;
};

TEST(Defects, S6_2_AWeightThatChangesInsideARegionIsSeen) {
  EXPECT_EQ(defects::product_after_the_weight_changed<Autocast>(), 8.0);
}

TEST(Defects, TheUsesOfAWeightAddUpInFp32) {
  EXPECT_EQ(defects::gradient_of_512_uses<Autocast>(), 512.0);
}

TEST(Defects, S6_2_AnotherThreadsRegionLeavesTheCacheAlone) {
  EXPECT_TRUE(defects::cast_survives_another_threads_region<Autocast>());
}

TEST(Defects, S6_2_ANestedRegionOfAnotherDtypeHasItsOwnCasts) {
  const auto product = defects::product_in_a_nested_region_of_another_dtype<Autocast>();
  EXPECT_EQ(product.scalar_type(), at::kHalf);
  EXPECT_EQ(product[0][0].item<double>(), 4.0);
}

TEST(Defects, S6_5_Fp16BesideBf16IsPromoted) {
  EXPECT_EQ(defects::half_beside_bfloat16<Autocast>().scalar_type(), at::kFloat);
}

TEST(Defects, S6_14_ARegionOfIntegersIsRefused) {
  EXPECT_THROW(defects::product_in_a_region_of<Autocast>(at::kInt), InvalidArgument);
}

TEST(Defects, LinearCastsItsWeightOnce) {
  EXPECT_TRUE(defects::linear_casts_its_weight_once<Autocast>());
}

TEST(Defects, S6_15_AScriptedModuleRunsFp16InFp16) {
  EXPECT_EQ(defects::scripted_product_in_fp16_after_bf16<Autocast>(), 1 + 0x1p-9);
}

TEST(Defects, S6_3_OneListForEveryDevice) {
  EXPECT_EQ(defects::softmax_of_low_precision<Unified>(), at::kFloat);
}

}  // namespace
}  // namespace amp::tests::defects_test
