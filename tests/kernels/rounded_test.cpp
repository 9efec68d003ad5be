// is_rounded: whether low-precision numbers are what fp32 ones round to.
#include <random>

#include "tests/kernels/numbers.h"

namespace amp::tests::rounded_test {
namespace {

class Rounded : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, Rounded, kTargetsAndReference, target_name);

const Format kLow[] = {Format::fp16, Format::bf16};

// c10's rounding.
void round_into(Numbers& low, const Numbers& wide) {
  for (std::size_t i = 0; i < wide.size(); ++i) low.set(i, wide[i]);
}

// fp32 numbers between every two codes: the code itself, below and above the tie, the tie.
TEST_P(Rounded, WhatC10RoundsIs_AndTheNextCodeIsNot) {
  for (const auto format : kLow) {
    constexpr std::size_t kCodes = 65536;
    Numbers codes(format, kCodes);
    for (std::uint32_t code = 0; code < kCodes; ++code) codes.set_code(code, code);
    std::vector<double> drawn;
    for (std::uint32_t code = 0; code + 1 < kCodes; ++code) {
      const double here = codes[code], next = codes[code + 1];
      drawn.push_back(here);
      const double tie = (here + next) / 2;
      if (!std::isfinite(tie) || std::signbit(here) != std::signbit(next)) continue;
      drawn.insert(drawn.end(), {tie, std::nextafter(float(tie), -INFINITY),
                                 std::nextafter(float(tie), INFINITY)});
    }
    Numbers wide(Format::fp32, drawn.size()), low(format, drawn.size());
    for (std::size_t i = 0; i < drawn.size(); ++i) wide.set(i, drawn[i]);
    round_into(low, wide);
    EXPECT_TRUE(kernels().is_rounded(wide.fp32(), low.read_only(), low.size()))
        << format_name(format);
    // One by one: no other code will do, but another NaN for a NaN.
    for (std::size_t i = 0; i < low.size(); i += 7) {
      const auto right = low.code(i);
      Numbers one(Format::fp32, 1), other(format, 1);
      one.set(0, wide[i]);
      other.set_code(0, (right + 1) & 0xFFFF);
      const bool both_nan = std::isnan(one[0]) && std::isnan(other[0]);
      ASSERT_EQ(kernels().is_rounded(one.fp32(), other.read_only(), 1), both_nan)
          << format_name(format) << " " << wide[i];
      other.set_code(0, right ^ 0x8000);
      const bool still_nan = std::isnan(one[0]);
      ASSERT_EQ(kernels().is_rounded(one.fp32(), other.read_only(), 1), still_nan);
    }
  }
}

// Every payload of a NaN is a NaN; Inf is none.
TEST_P(Rounded, NansAreAllAlike) {
  for (const auto format : kLow) {
    const std::uint32_t inf = format == Format::bf16 ? 0x7F80 : 0x7C00;
    for (const std::uint32_t bits :
         {0x7F800001U, 0x7FC00000U, 0xFFFFFFFFU, 0xFF800001U, 0x7FFFFFFFU}) {
      for (const std::uint32_t code : {inf + 1, inf + 0x3F, 0x8000 + inf + 1, 0xFFFFU}) {
        Numbers wide(Format::fp32, 20), low(format, 20);
        wide.set_code(13, bits);
        low.set_code(13, code);
        EXPECT_TRUE(kernels().is_rounded(wide.fp32(), low.read_only(), 20));
        low.set_code(13, inf);
        EXPECT_FALSE(kernels().is_rounded(wide.fp32(), low.read_only(), 20));
        low.set_code(13, code);
        wide.set_code(13, 0x7F800000);
        EXPECT_FALSE(kernels().is_rounded(wide.fp32(), low.read_only(), 20));
        wide.set_code(13, 0x3F800000);
        EXPECT_FALSE(kernels().is_rounded(wide.fp32(), low.read_only(), 20));
      }
    }
  }
}

// A NaN beside it hides no difference.
TEST_P(Rounded, OneElementAmongManyIsFound) {
  auto sizes = kSizes;
  sizes.insert(sizes.end(), {4095, 4096, 4097, 12289});
  for (const auto format : kLow) {
    for (const auto size : sizes) {
      for (const bool with_nan : {false, true}) {
        Numbers wide(Format::fp32, size, 1, 0), low(format, size, 3, 0);
        std::mt19937 random(5);
        for (std::size_t i = 0; i < size; ++i)
          wide.set(i, std::ldexp(double(random() % 2000) - 1000, -9));
        if (with_nan && size > 2) wide.set_code(size / 2, 0x7F800001);
        round_into(low, wide);
        ASSERT_TRUE(kernels().is_rounded(wide.fp32(), low.read_only(), size));
        for (std::size_t i = 0; i < size; i += 1 + size / 50) {
          const auto right = low.code(i);
          if (std::isnan(wide[i])) continue;
          low.set_code(i, right ^ 1);
          ASSERT_FALSE(kernels().is_rounded(wide.fp32(), low.read_only(), size))
              << size << " " << i;
          low.set_code(i, right);
        }
      }
    }
  }
}

TEST_P(Rounded, TenMillionRandomFloats) {
  std::mt19937 random(7);
  constexpr std::size_t kPart = 100'000;
  for (const auto format : kLow) {
    Numbers wide(Format::fp32, kPart), low(format, kPart);
    for (int part = 0; part < 50; ++part) {
      for (std::size_t i = 0; i < kPart; ++i) {
        auto bits = static_cast<std::uint32_t>(random());
        if (part % 2 == 1) bits = (bits & 0x87FFFFFF) + 0x30000000;
        wide.set_code(i, bits);
      }
      round_into(low, wide);
      ASSERT_TRUE(kernels().is_rounded(wide.fp32(), low.read_only(), kPart)) << part;
    }
  }
}

}  // namespace
}  // namespace amp::tests::rounded_test
