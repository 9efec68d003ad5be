// Codes against c10's types: every code of 16 and of 8 bits, and ten million floats of every exponent.
#include <ATen/ops/empty.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Float8_e4m3fn.h>
#include <c10/util/Float8_e5m2.h>
#include <c10/util/Half.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>

#include "amp/precision.h"

namespace codes_test {
namespace {

using amp::Format;

// Ten million numbers whose bits are random, so that every exponent, NaN and Inf are among them, and
// those next to the middle between two bf16 numbers.
at::Tensor random_floats() {
  constexpr std::int64_t kSize = 10'000'000;
  auto floats = at::empty({kSize}, c10::kFloat);
  auto* bits = static_cast<std::uint32_t*>(floats.mutable_data_ptr());
  std::mt19937 random(2024);
  for (std::int64_t i = 0; i < kSize; ++i) {
    bits[i] = static_cast<std::uint32_t>(random());
    if (i % 16 == 0) bits[i] = (bits[i] & 0xFFFF0000) + 0x7FFF + bits[i] % 3;
  }
  return floats;
}

template <typename T>
std::int64_t bits_of(T code) {
  if constexpr (sizeof(T) == 1)
    return std::bit_cast<std::uint8_t>(code);
  else
    return std::bit_cast<std::uint16_t>(code);
}

// c10's conversions do not saturate. How many codes differ, NaN's payload aside.
template <typename T>
std::int64_t differing_codes(const at::Tensor& floats, Format format) {
  const auto codes = amp::encode(floats, format, {.saturate = false});
  EXPECT_EQ(codes.scalar_type(), c10::CppTypeToScalarType<T>());
  const auto* x = floats.const_data_ptr<float>();
  const auto* found = codes.const_data_ptr<T>();
  std::int64_t differing = 0;
  for (std::int64_t i = 0; i < floats.numel(); ++i) {
    const T expected(x[i]);
    const bool both_nan = std::isnan(x[i]) && std::isnan(static_cast<float>(found[i])) &&
                          std::signbit(x[i]) == std::signbit(static_cast<float>(found[i]));
    differing += bits_of(found[i]) != bits_of(expected) && !both_nan;
  }
  return differing;
}

template <typename T>
std::int64_t differing_values(const at::Tensor& floats, Format format) {
  const auto rounded = amp::quantize(floats, format, {.saturate = false});
  const auto* x = floats.const_data_ptr<float>();
  const auto* found = rounded.const_data_ptr<float>();
  std::int64_t differing = 0;
  for (std::int64_t i = 0; i < floats.numel(); ++i) {
    const auto expected = static_cast<float>(T(x[i]));
    const bool same =
        std::bit_cast<std::uint32_t>(expected) == std::bit_cast<std::uint32_t>(found[i]);
    differing += !same && !(std::isnan(expected) && std::isnan(found[i]));
  }
  return differing;
}

TEST(Codes, TenMillionFloatsAsTorch) {
  const auto floats = random_floats();
  EXPECT_EQ(differing_codes<c10::Half>(floats, Format::fp16), 0);
  EXPECT_EQ(differing_codes<c10::BFloat16>(floats, Format::bf16), 0);
  EXPECT_EQ(differing_codes<c10::Float8_e4m3fn>(floats, Format::e4m3), 0);
  EXPECT_EQ(differing_codes<c10::Float8_e5m2>(floats, Format::e5m2), 0);
  EXPECT_EQ(differing_values<c10::Half>(floats, Format::fp16), 0);
  EXPECT_EQ(differing_values<c10::BFloat16>(floats, Format::bf16), 0);
  EXPECT_EQ(differing_values<c10::Float8_e4m3fn>(floats, Format::e4m3), 0);
  EXPECT_EQ(differing_values<c10::Float8_e5m2>(floats, Format::e5m2), 0);
}

// In double and by arithmetic. tf32 has no type in LibTorch.
float tf32_of(float x) {
  if (!std::isfinite(x) || x == 0) return x;
  const int exponent = std::max(std::ilogb(x), -126);
  const double step = std::ldexp(1.0, exponent - 10);
  const double rounded = std::nearbyint(double{x} / step) * step;
  return static_cast<float>(rounded);  // 2^128 becomes Inf
}

TEST(Codes, TenMillionFloatsInTf32) {
  const auto floats = random_floats();
  const auto rounded = amp::quantize(floats, Format::tf32);
  const auto* x = floats.const_data_ptr<float>();
  const auto* found = rounded.const_data_ptr<float>();
  std::int64_t differing = 0;
  for (std::int64_t i = 0; i < floats.numel(); ++i) {
    const float expected = tf32_of(x[i]);
    const bool same =
        std::bit_cast<std::uint32_t>(expected) == std::bit_cast<std::uint32_t>(found[i]);
    differing += !same && !(std::isnan(expected) && std::isnan(found[i]));
  }
  EXPECT_EQ(differing, 0);
}

// Every code is decoded as c10 decodes it, is a number of the grid, and comes back.
template <typename T, typename Code>
void expect_every_code(Format format) {
  const std::int64_t count = std::int64_t{1} << (8 * sizeof(Code));
  auto codes = at::empty({count}, at::TensorOptions().dtype(c10::CppTypeToScalarType<T>()));
  auto* code = static_cast<Code*>(codes.mutable_data_ptr());
  for (std::int64_t i = 0; i < count; ++i) code[i] = static_cast<Code>(i);
  const auto numbers = amp::decode(codes);
  const auto again = amp::quantize(numbers, format, {.saturate = false});
  const auto back = amp::encode(numbers, format, {.saturate = false});
  ASSERT_EQ(numbers.scalar_type(), c10::kFloat);
  const auto* number = numbers.template const_data_ptr<float>();
  const auto* rounded = again.template const_data_ptr<float>();
  const auto* returned = static_cast<const Code*>(back.const_data_ptr());
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto expected = static_cast<float>(std::bit_cast<T>(static_cast<Code>(i)));
    if (std::isnan(expected)) {
      wrong += !std::isnan(number[i]) || !std::isnan(rounded[i]) ||
               !std::isnan(static_cast<float>(std::bit_cast<T>(returned[i])));
    } else {
      wrong += std::bit_cast<std::uint32_t>(number[i]) != std::bit_cast<std::uint32_t>(expected) ||
               std::bit_cast<std::uint32_t>(rounded[i]) != std::bit_cast<std::uint32_t>(expected) ||
               returned[i] != i;
    }
  }
  EXPECT_EQ(wrong, 0) << amp::format_name(format);
}

TEST(Codes, EveryCodeThereAndBack) {
  expect_every_code<c10::Half, std::uint16_t>(Format::fp16);
  expect_every_code<c10::BFloat16, std::uint16_t>(Format::bf16);
  expect_every_code<c10::Float8_e4m3fn, std::uint8_t>(Format::e4m3);
  expect_every_code<c10::Float8_e5m2, std::uint8_t>(Format::e5m2);
}

TEST(Codes, NaNHasTorchsCodeInFp8) {
  auto nan = at::empty({2}, c10::kFloat);
  nan.mutable_data_ptr<float>()[0] = std::bit_cast<float>(0x7FC00000);
  nan.mutable_data_ptr<float>()[1] = std::bit_cast<float>(0xFF800001);
  for (const auto format : {Format::e4m3, Format::e5m2}) {
    const auto codes = amp::encode(nan, format);
    const auto* code = static_cast<const std::uint8_t*>(codes.const_data_ptr());
    EXPECT_EQ(code[0], 0x7F) << amp::format_name(format);
    EXPECT_EQ(code[1], 0xFF) << amp::format_name(format);
  }
  EXPECT_EQ(bits_of(c10::Float8_e5m2(std::bit_cast<float>(0xFF800001))), 0xFF);
}

TEST(Codes, ScaleIsUndoneByDecode) {
  auto x = at::empty({3}, c10::kFloat);
  auto* value = x.mutable_data_ptr<float>();
  value[0] = 0x1p-20f, value[1] = -3.5f * 0x1p-18f, value[2] = 100;
  const auto codes = amp::encode(x, Format::e4m3, {.scale = 0x1p20});
  const auto back = amp::decode(codes, 0x1p20);
  const auto* found = back.const_data_ptr<float>();
  EXPECT_EQ(found[0], 0x1p-20f);
  EXPECT_EQ(found[1], -3.5f * 0x1p-18f);
  EXPECT_EQ(found[2], 448 * 0x1p-20f);  // saturated
}

}  // namespace
}  // namespace codes_test
