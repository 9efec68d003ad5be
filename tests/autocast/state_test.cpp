// The region itself: what it sets, what it restores, what it refuses, and that it is its thread's.
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>
#include <tuple>

#include "amp/autocast.h"
#include "amp/error.h"
#include "tests/support/tensors.h"

namespace amp::tests::state_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

// What a region can change: {enabled, dtype} of a device, and the cache flag.
auto state_of(c10::DeviceType device) {
  return std::make_tuple(at::autocast::is_autocast_enabled(device),
                         at::autocast::get_autocast_dtype(device),
                         at::autocast::is_autocast_cache_enabled());
}

at::Tensor product() { return at::mm(at::ones({2, 2}), at::ones({2, 2})); }

// CUDA's regions are in tests/autocast_cuda.
TEST(Autocast, S3_1_TheDefaultDtypeIsTheDevices) {
  EXPECT_EQ(product().scalar_type(), at::kFloat);
  const Autocast autocast(at::kCPU);
  EXPECT_EQ(state_of(at::kCPU), std::make_tuple(true, at::kBFloat16, true));
  EXPECT_EQ(product().scalar_type(), at::kBFloat16);
}

TEST(Autocast, S3_1_TheDtypeCanBeChosen) {
  const Autocast autocast(at::kCPU, at::kHalf);
  EXPECT_EQ(product().scalar_type(), at::kHalf);
}

TEST(Autocast, S3_1_ANewThreadStartsOutsideTheRegion) {
  const Autocast autocast(at::kCPU);
  bool enabled = true;
  at::ScalarType dtype = at::kBFloat16;
  std::thread([&] {
    enabled = at::autocast::is_autocast_enabled(at::kCPU);
    dtype = product().scalar_type();
  }).join();
  EXPECT_FALSE(enabled);
  EXPECT_EQ(dtype, at::kFloat);
}

TEST(Autocast, S3_1_AnotherThreadsRegionIsItsOwn) {
  const Autocast autocast(at::kCPU);
  at::ScalarType inside = at::kFloat;
  std::thread([&] {
    const Autocast other(at::kCPU, at::kHalf);
    inside = product().scalar_type();
  }).join();
  EXPECT_EQ(inside, at::kHalf);
  EXPECT_EQ(product().scalar_type(), at::kBFloat16);
}

TEST(Autocast, S3_2_TheEndRestoresWhatWasFound) {
  const auto before = state_of(at::kCPU);
  {
    const Autocast autocast(at::kCPU, at::kHalf, {.cache_enabled = false});
    EXPECT_EQ(state_of(at::kCPU), std::make_tuple(true, at::kHalf, false));
  }
  EXPECT_EQ(state_of(at::kCPU), before);
  EXPECT_EQ(product().scalar_type(), at::kFloat);
}

TEST(Autocast, S3_2_AnExceptionRestoresToo) {
  const auto before = state_of(at::kCPU);
  try {
    const Autocast outer(at::kCPU, at::kHalf);
    const Autocast inner(at::kCPU, at::kBFloat16, {.cache_enabled = false});
    throw std::runtime_error("in the middle");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(state_of(at::kCPU), before);
  EXPECT_EQ(at::autocast::increment_nesting(), 1) << "no region is left open";
  at::autocast::decrement_nesting();
}

TEST(Autocast, S3_2_TheInnerRegionRulesAndTheOuterComesBack) {
  const Autocast outer(at::kCPU, at::kHalf);
  EXPECT_EQ(product().scalar_type(), at::kHalf);
  {
    const Autocast inner(at::kCPU, at::kBFloat16);
    EXPECT_EQ(product().scalar_type(), at::kBFloat16);
    {
      const Autocast off(at::kCPU, {}, {.enabled = false});
      EXPECT_EQ(product().scalar_type(), at::kFloat);
    }
    EXPECT_EQ(product().scalar_type(), at::kBFloat16);
  }
  EXPECT_EQ(product().scalar_type(), at::kHalf);
}

TEST(Autocast, S3_2_DisabledTheRegionIsAsIfThereWereNone) {
  const Autocast autocast(at::kCPU, at::kHalf, {.enabled = false});
  EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
  EXPECT_EQ(product().scalar_type(), at::kFloat);
}

// torch warns and silently disables the region.
TEST(Autocast, S6_14_ADtypeThatAutocastCannotUseIsRefused) {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kFloat8_e4m3fn, at::kInt}) {
    for (const auto device : {at::kCPU, at::kCUDA}) {
      EXPECT_THAT(([&] { const Autocast autocast(device, dtype); }),
                  ThrowsMessage<InvalidArgument>(
                      AllOf(HasSubstr("Autocast: dtype must be BFloat16 or Half"),
                            HasSubstr(c10::toString(dtype)), HasSubstr(".enabled = false"))));
    }
  }
  EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
}

TEST(Autocast, S6_14_DisabledAnyDtypePasses) {
  const Autocast autocast(at::kCPU, at::kDouble, {.enabled = false});
  EXPECT_EQ(product().scalar_type(), at::kFloat);
}

TEST(Autocast, S3_2_AnotherDeviceIsRefused) {
  EXPECT_THAT(([] { const Autocast autocast(at::kMeta); }),
              ThrowsMessage<UnsupportedError>(HasSubstr("CPU or CUDA, got META")));
}

}  // namespace
}  // namespace amp::tests::state_test
