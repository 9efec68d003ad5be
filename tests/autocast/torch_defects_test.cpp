// What LibTorch's own autocast does wrong, on LibTorch alone: this program does not load libamp. Each
// test is skipped once a LibTorch has mended its defect; on 2.11 all of them must be there.
#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/version.h>

#include <exception>
#include <string>

#include "tests/autocast/defects.h"

namespace {

constexpr bool kAllAreThere = TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 11;

// What torch.autocast does on entry and exit, without its checks.
struct Region {
  c10::DeviceType device;
  bool enabled, cache_enabled = at::autocast::is_autocast_cache_enabled();
  c10::ScalarType dtype;

  Region(c10::DeviceType on, c10::ScalarType low)
      : device(on),
        enabled(at::autocast::is_autocast_enabled(on)),
        dtype(at::autocast::get_autocast_dtype(on)) {
    at::autocast::set_autocast_enabled(device, true);
    at::autocast::set_autocast_dtype(device, low);
    at::autocast::set_autocast_cache_enabled(true);
    at::autocast::increment_nesting();
  }
  ~Region() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device, enabled);
    at::autocast::set_autocast_dtype(device, dtype);
    at::autocast::set_autocast_cache_enabled(cache_enabled);
  }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
};

// `found` is what the defect gives; without it, `mended` would be.
template <typename Value>
void expect_defect(const Value& found, const Value& defect, const Value& mended) {
  if (!kAllAreThere && found == mended)
    GTEST_SKIP() << "LibTorch " << TORCH_VERSION << " has mended it";
  EXPECT_EQ(found, defect);
}

// What `run` throws says so; "" if it throws nothing.
template <typename Run>
void expect_refusal(Run run, const std::string& part) {
  std::string message;
  try {
    run();
  } catch (const std::exception& error) {
    message = error.what();
  }
  if (!kAllAreThere && message.empty())
    GTEST_SKIP() << "LibTorch " << TORCH_VERSION << " has mended it";
  EXPECT_THAT(message, testing::HasSubstr(part));
}

TEST(TorchDefects, AWeightThatChangesInsideARegionIsNotSeen) {
  expect_defect(defects::product_after_the_weight_changed<Region>(), 4.0, 8.0);
}

TEST(TorchDefects, TheUsesOfAWeightAddUpInLowPrecision) {
  expect_defect(defects::gradient_of_512_uses<Region>(), 256.0, 512.0);
}

TEST(TorchDefects, AnotherThreadsRegionClearsTheCache) {
  expect_defect(defects::cast_survives_another_threads_region<Region>(), false, true);
}

TEST(TorchDefects, ANestedRegionOfAnotherDtypeThrows) {
  expect_refusal(defects::product_in_a_nested_region_of_another_dtype<Region>,
                 "have the same dtype");
}

TEST(TorchDefects, Fp16BesideBf16Throws) {
  expect_refusal(defects::half_beside_bfloat16<Region>,
                 "Unexpected floating ScalarType in at::autocast::prioritize");
}

TEST(TorchDefects, ARegionOfIntegersComputesInIntegers) {
  expect_defect(defects::product_in_a_region_of<Region>(at::kInt), 2.0, 6.125);
}

TEST(TorchDefects, LinearCastsItsWeightAtEveryCall) {
  expect_defect(defects::linear_casts_its_weight_once<Region>(), false, true);
}

TEST(TorchDefects, AScriptedModuleRunsFp16ThroughBf16) {
  expect_defect(defects::scripted_product_in_fp16_after_bf16<Region>(), 1.0, 1 + 0x1p-9);
}

TEST(TorchDefects, SoftmaxStaysLowOnTheCpu) {
  expect_defect(defects::softmax_of_low_precision<Region>(), at::kBFloat16, at::kFloat);
}

}  // namespace
