// Regions of CUDA: refused where it is absent, and what they set where it is there. The device is
// LibTorch's guard that does nothing, in this process alone: the first test runs before it is there.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "amp/autocast.h"
#include "amp/cpu_math.h"
#include "amp/error.h"
#include "amp/recipe.h"

namespace amp::tests::device_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

// As many devices as it says.
struct Guard final : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA> {
  static inline c10::DeviceIndex count = 1;
  c10::DeviceIndex deviceCount() const noexcept override { return count; }
};

void load_cuda() {
  static const c10::impl::DeviceGuardImplRegistrar registrar(c10::DeviceType::CUDA, new Guard);
  Guard::count = 1;
}

auto state_of(c10::DeviceType device) {
  return std::make_tuple(at::autocast::is_autocast_enabled(device),
                         at::autocast::get_autocast_dtype(device),
                         at::autocast::is_autocast_cache_enabled());
}

at::Tensor product() { return at::mm(at::ones({2, 2}), at::ones({2, 2})); }

// One test, because what is registered stays: absent, then there without a GPU, then there.
TEST(AutocastCuda, S6_19_AnAbsentDeviceIsRefusedAndALaterOneIsSeen) {
  ASSERT_FALSE(c10::impl::hasDeviceGuardImpl(at::kCUDA)) << "this program links no CUDA";
  const auto before = state_of(at::kCUDA);
  const auto refusal = [](const char* text) {
    return ThrowsMessage<UnsupportedError>(
        AllOf(HasSubstr("Autocast: device must be present, got CUDA"), HasSubstr(text),
              HasSubstr("{.enabled = false}")));
  };
  EXPECT_THAT([] { const Autocast autocast(at::kCUDA); }, refusal("CUDA library"));
  EXPECT_THAT([] { const Autocast autocast(at::Device("cuda:0")); }, refusal("CUDA library"));
  EXPECT_THAT([] { const auto region = Recipe::fp16().autocast(at::kCUDA); }, refusal("library"));
  EXPECT_THAT([] { const auto region = Recipe::fp8().autocast(at::kCUDA); }, refusal("library"));
  EXPECT_EQ(state_of(at::kCUDA), before) << "nothing is left open";
  {
    const Autocast off(at::kCUDA, {}, {.enabled = false});
    EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCUDA));
    const auto fp32 = Recipe::fp32().autocast(at::kCUDA);
    EXPECT_EQ(product().scalar_type(), at::kFloat);
  }
  load_cuda();
  Guard::count = 0;
  EXPECT_THAT([] { const Autocast autocast(at::kCUDA); }, refusal("no GPU"));
  Guard::count = 1;
  const Autocast autocast(at::kCUDA);
  EXPECT_TRUE(at::autocast::is_autocast_enabled(at::kCUDA));
}

TEST(AutocastCuda, S3_1_TheDefaultDtypeIsFp16AndAnotherCanBeChosen) {
  load_cuda();
  {
    const Autocast autocast(at::kCUDA);
    EXPECT_EQ(state_of(at::kCUDA), std::make_tuple(true, at::kHalf, true));
    EXPECT_EQ(product().scalar_type(), at::kFloat) << "a region of CUDA is none of the CPU's";
  }
  const Autocast autocast(at::kCUDA, at::kBFloat16);
  EXPECT_EQ(state_of(at::kCUDA), std::make_tuple(true, at::kBFloat16, true));
}

TEST(AutocastCuda, S3_2_TheEndRestoresWhatWasFound) {
  load_cuda();
  const auto before = state_of(at::kCUDA);
  {
    const Autocast autocast(at::kCUDA, at::kHalf, {.cache_enabled = false});
    EXPECT_EQ(state_of(at::kCUDA), std::make_tuple(true, at::kHalf, false));
  }
  EXPECT_EQ(state_of(at::kCUDA), before);
}

TEST(AutocastCuda, S3_2_RegionsOfTwoDevicesDoNotMeet) {
  load_cuda();
  const Autocast cpu(at::kCPU);
  {
    const Autocast cuda(at::kCUDA);
    EXPECT_EQ(state_of(at::kCPU), std::make_tuple(true, at::kBFloat16, true));
  }
  EXPECT_EQ(state_of(at::kCPU), std::make_tuple(true, at::kBFloat16, true));
  EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCUDA));
}

TEST(AutocastCuda, S6_14_ADtypeThatAutocastCannotUseIsRefused) {
  load_cuda();
  EXPECT_THROW(Autocast(at::kCUDA, at::kDouble), InvalidArgument);
}

TEST(AutocastCuda, AHalfRegionOfCudaLeavesTheCpusMathAlone) {
  load_cuda();
  { const Autocast cuda(at::kCUDA, at::kHalf); }
  EXPECT_FALSE(cpu_half_math());
}

TEST(AutocastCuda, ADeviceWithItsIndexIsItsType) {
  load_cuda();
  {
    const Autocast autocast(at::Device("cuda:0"));
    EXPECT_EQ(state_of(at::kCUDA), std::make_tuple(true, at::kHalf, true));
  }
  const Autocast autocast(at::ones({1}).device());
  EXPECT_EQ(product().scalar_type(), at::kBFloat16);
}

}  // namespace
}  // namespace amp::tests::device_test
