// The table of the formats, against the C++ types of LibTorch and their numeric_limits.
#include <c10/util/BFloat16.h>
#include <c10/util/Float8_e4m3fn.h>
#include <c10/util/Float8_e5m2.h>
#include <c10/util/Half.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "amp/error.h"
#include "amp/precision.h"

namespace format_test {
namespace {

using amp::Format;

const std::vector<Format> kAll = {Format::fp32, Format::tf32, Format::bf16,
                                  Format::fp16, Format::e4m3, Format::e5m2};

template <typename T>
void expect_limits_of(Format format) {
  using Limits = std::numeric_limits<T>;
  const auto& info = amp::format_info(format);
  EXPECT_EQ(info.max_finite, static_cast<double>(static_cast<float>(Limits::max()))) << info.name;
  EXPECT_EQ(info.min_normal, static_cast<double>(static_cast<float>(Limits::min()))) << info.name;
  EXPECT_EQ(info.min_subnormal, static_cast<double>(static_cast<float>(Limits::denorm_min())))
      << info.name;
  EXPECT_EQ(info.epsilon, static_cast<double>(static_cast<float>(Limits::epsilon()))) << info.name;
  EXPECT_EQ(info.mantissa_bits, Limits::digits - 1) << info.name;
  EXPECT_EQ(info.has_inf, Limits::has_infinity) << info.name;
  EXPECT_EQ(info.bytes, static_cast<int>(sizeof(T))) << info.name;
  EXPECT_EQ(info.bias, 2 - Limits::min_exponent) << info.name;
}

TEST(Format, RangesAreThoseOfTheTypes) {
  expect_limits_of<float>(Format::fp32);
  expect_limits_of<c10::Half>(Format::fp16);
  expect_limits_of<c10::BFloat16>(Format::bf16);
  expect_limits_of<c10::Float8_e4m3fn>(Format::e4m3);
  expect_limits_of<c10::Float8_e5m2>(Format::e5m2);
}

// NVIDIA A100 whitepaper, 2020: tf32 has fp32's 8 bits of exponent and fp16's 10 of mantissa.
TEST(Format, Tf32IsFp32WithTheMantissaOfFp16) {
  const auto& tf32 = amp::format_info(Format::tf32);
  EXPECT_EQ(tf32.exponent_bits, 8);
  EXPECT_EQ(tf32.mantissa_bits, 10);
  EXPECT_EQ(tf32.bias, 127);
  EXPECT_EQ(tf32.max_finite, (2 - 0x1p-10) * 0x1p127);
  EXPECT_EQ(tf32.min_normal, 0x1p-126);
  EXPECT_EQ(tf32.min_subnormal, 0x1p-126 * 0x1p-10);
  EXPECT_EQ(tf32.epsilon, 0x1p-10);
  EXPECT_EQ(tf32.bytes, 4);
}

TEST(Format, FieldsFitTogether) {
  for (const auto format : kAll) {
    const auto& info = amp::format_info(format);
    EXPECT_EQ(info.format, format);
    const int bits = 1 + info.exponent_bits + info.mantissa_bits;
    EXPECT_EQ(bits, format == Format::tf32 ? 19 : 8 * info.bytes) << info.name;
    EXPECT_EQ(info.bias, (1 << (info.exponent_bits - 1)) - 1) << info.name;
    EXPECT_EQ(info.min_normal, std::ldexp(1.0, 1 - info.bias)) << info.name;
    EXPECT_EQ(info.min_subnormal, std::ldexp(info.min_normal, -info.mantissa_bits)) << info.name;
  }
}

TEST(Format, NamesComeBack) {
  for (const auto format : kAll) EXPECT_EQ(amp::format_of(amp::format_name(format)), format);
  EXPECT_STREQ(amp::format_name(Format::e4m3), "e4m3");
}

TEST(Format, AnUnknownNameIsRefusedWithTheNearest) {
  try {
    amp::format_of("bf61");
    FAIL() << "accepted";
  } catch (const amp::InvalidArgument& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("got \"bf61\""));
    EXPECT_THAT(error.what(), testing::HasSubstr("bf16"));
  }
  EXPECT_THROW(amp::format_of(""), amp::InvalidArgument);
  EXPECT_THROW(amp::format_info(static_cast<Format>(77)), amp::InvalidArgument);
}

}  // namespace
}  // namespace format_test
