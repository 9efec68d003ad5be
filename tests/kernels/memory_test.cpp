// examine, scale and count_exponents.
#include <functional>
#include <random>

#include "tests/kernels/numbers.h"

namespace amp::tests::memory_test {
namespace {

class Memory : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, Memory, kTargetsAndReference, target_name);

Numbers random_numbers(Format format, std::size_t size, std::size_t begin = 1) {
  std::mt19937 random(static_cast<unsigned>(size) + 1);
  std::normal_distribution<double> normal;
  Numbers numbers(format, size, begin);
  for (std::size_t i = 0; i < size; ++i) numbers.set(i, normal(random));
  return numbers;
}

TEST_P(Memory, ExamineSumsTheSquaresOfTheProducts) {
  for (const auto format : kFormats) {
    for (const auto size : kSizes) {
      const auto numbers = random_numbers(format, size);
      double expected = 0;
      for (std::size_t i = 0; i < size; ++i) {
        const double product = double{static_cast<float>(numbers[i] * double{0.3f})};
        expected += product * product;
      }
      const auto found = kernels().examine(numbers.read_only(), size, 0.3f);
      EXPECT_FALSE(found.non_finite);
      EXPECT_NEAR(found.sum_of_squares, expected, 1e-13 * expected) << format_name(format) << size;
    }
  }
}

TEST_P(Memory, ExamineOfHandMadeNumbers) {
  Numbers numbers(Format::fp32, 5);
  for (std::size_t i = 0; i < 5; ++i) numbers.set(i, static_cast<double>(i) - 2);  // -2 to 2
  EXPECT_EQ(kernels().examine(numbers.read_only(), 5, 0.5f).sum_of_squares, 2.5);
}

// One bad number at any place of a chunk that no vector divides.
TEST_P(Memory, ExamineFindsEveryNonFiniteNumber) {
  constexpr std::size_t kSize = 67;
  for (const auto format : kFormats) {
    for (const double bad : {kInf, -kInf, kNaN, -kNaN}) {
      for (std::size_t place = 0; place < kSize; ++place) {
        Numbers numbers(format, kSize);
        numbers.set(place, bad);
        EXPECT_TRUE(kernels().examine(numbers.read_only(), kSize, 1).non_finite);
        EXPECT_TRUE(kernels().examine(numbers.read_only(), kSize, 0).non_finite);
      }
    }
  }
}

TEST_P(Memory, ExamineFindsEveryNonFiniteCode) {
  for (const auto format : {Format::fp16, Format::bf16}) {
    for (std::uint32_t code = 0; code < 65536; ++code) {
      Numbers number(format, 1, 1, 0);
      number.set_code(0, code);
      const auto found = kernels().examine(number.read_only(), 1, 1);
      ASSERT_EQ(found.non_finite, !std::isfinite(number[0])) << format_name(format) << " " << code;
    }
  }
}

TEST_P(Memory, ExamineTakesTheLargestAndSmallestNumbersForFinite) {
  for (const auto format : kFormats) {
    Numbers numbers(format, 35);
    numbers.set(34, -largest(format));
    numbers.set(33, smallest_subnormal(format));
    EXPECT_FALSE(kernels().examine(numbers.read_only(), 35, 1).non_finite) << format_name(format);
    EXPECT_EQ(kernels().examine(numbers.read_only(), 34, 1).sum_of_squares,
              std::pow(smallest_subnormal(format), 2));
  }
}

TEST_P(Memory, ExamineCountsAProductThatOverflows) {
  Numbers numbers(Format::bf16, 40);
  numbers.set(39, 1e30);
  EXPECT_FALSE(kernels().examine(numbers.read_only(), 40, 1e8f).non_finite);
  EXPECT_TRUE(kernels().examine(numbers.read_only(), 40, 1e9f).non_finite);
}

TEST_P(Memory, ExamineIsRightToAMillionthForAHundredMillionElements) {
  constexpr std::size_t kSize = 100'000'000, kPeriod = 4099;  // a prime
  const auto period = random_numbers(Format::bf16, kPeriod);
  std::vector<std::uint16_t> codes(kSize);
  long double expected = 0;
  for (std::size_t j = 0; j < kPeriod; ++j) {
    const auto times = (kSize - j + kPeriod - 1) / kPeriod;
    const auto code = static_cast<std::uint16_t>(period.code(j));
    for (std::size_t t = 0; t < times; ++t) codes[t * kPeriod + j] = code;
    expected += static_cast<long double>(times) * static_cast<long double>(period[j] * period[j]);
  }
  const auto found = kernels().examine({codes.data(), Format::bf16}, kSize, 1);
  EXPECT_NEAR(found.sum_of_squares / static_cast<double>(expected), 1, 1e-10);
}

TEST_P(Memory, ScaleMultipliesAndRounds) {
  for (const auto format : kFormats) {
    for (const auto size : kSizes) {
      auto numbers = random_numbers(format, size);
      Numbers expected(format, size);
      for (std::size_t i = 0; i < size; ++i) expected.set(i, numbers[i] * double{0.3f});
      EXPECT_FALSE(kernels().scale(numbers.span(), size, 0.3f));
      EXPECT_EQ(differences(numbers, expected), 0u) << format_name(format) << " " << size;
      EXPECT_TRUE(numbers.guards_intact());
    }
  }
}

TEST_P(Memory, ScaleReportsWhatWasOrBecameNonFinite) {
  for (const auto format : kFormats) {
    for (const double bad : {kInf, -kInf, kNaN, 0.75 * largest(format)}) {
      for (std::size_t place = 0; place < 35; ++place) {
        Numbers numbers(format, 35);
        numbers.set(place, bad);
        EXPECT_TRUE(kernels().scale(numbers.span(), 35, 2)) << format_name(format) << " " << bad;
        EXPECT_FALSE(std::isfinite(numbers[place]));
      }
    }
    Numbers large(format, 35);
    large.set(34, 0.375 * largest(format));
    EXPECT_FALSE(kernels().scale(large.span(), 35, 2));
  }
}

TEST_P(Memory, EveryBf16CodeHasItsExponent) {
  Numbers codes(Format::bf16, 65536);
  for (std::uint32_t code = 0; code < 65536; ++code) codes.set_code(code, code);
  ExponentHistogram histogram;
  for (int time = 1; time <= 2; ++time) {
    kernels().count_exponents(codes.read_only(), codes.size(), histogram);
    EXPECT_EQ(histogram.zeros, 2 * time);
    EXPECT_EQ(histogram.counts[0], 254 * time);
    for (std::size_t e = 1; e < 256; ++e) EXPECT_EQ(histogram.counts[e], 256 * time) << e;
    EXPECT_EQ(histogram.infs, 2 * time);
    // bf16's subnormals are 2^-133 to 2^-127: 2^j of them and their negatives from 2^(j-133) on.
    for (std::size_t e = 0; e < 23; ++e)
      EXPECT_EQ(histogram.subnormal[e], e < 16 ? 0 : time * (std::int64_t{2} << (e - 16))) << e;
  }
}

// fp16's subnormals are normal numbers in fp32: 2^j of them and their negatives from 2^(j-24) on.
TEST_P(Memory, EveryFp16CodeHasItsExponent) {
  Numbers codes(Format::fp16, 65536);
  for (std::uint32_t code = 0; code < 65536; ++code) codes.set_code(code, code);
  ExponentHistogram histogram;
  kernels().count_exponents(codes.read_only(), codes.size(), histogram);
  EXPECT_EQ(histogram.zeros, 2);
  for (std::size_t e = 0; e < 256; ++e) {
    std::int64_t expected = 0;
    if (e >= 103 && e < 113) expected = std::int64_t{2} << (e - 103);
    if ((e >= 113 && e < 143) || e == 255) expected = 2048;
    EXPECT_EQ(histogram.counts[e], expected) << e;
  }
}

TEST_P(Memory, Fp32SubnormalsHaveTheirExponents) {
  Numbers numbers(Format::fp32, 300);
  for (std::size_t i = 0; i < 300; ++i) numbers.set(i, i < 23 ? std::ldexp(-1.5, int(i) - 149) : 1);
  numbers.set_code(0, 1);
  numbers.set(299, -kInf);
  numbers.set(298, kNaN);
  ExponentHistogram histogram;
  kernels().count_exponents(numbers.read_only(), 300, histogram);
  for (const auto count : histogram.subnormal) EXPECT_EQ(count, 1);
  EXPECT_EQ(histogram.counts[0], 23);
  EXPECT_EQ(histogram.counts[255], 2);
  EXPECT_EQ(histogram.infs, 1);
  EXPECT_EQ(histogram.zeros, 0);
}

TEST_P(Memory, ExponentsOfAnySize) {
  for (const auto size : kSizes) {
    Numbers numbers(Format::fp32, size);
    for (std::size_t i = 0; i < size; ++i) numbers.set(i, i % 2 == 0 ? 1.5 : 0);
    ExponentHistogram histogram;
    kernels().count_exponents(numbers.read_only(), size, histogram);
    EXPECT_EQ(histogram.counts[127], static_cast<std::int64_t>((size + 1) / 2));
    EXPECT_EQ(histogram.zeros, static_cast<std::int64_t>(size / 2));
    EXPECT_EQ(histogram.counts[0], 0);
  }
}

// Not only close: the same norm, so the same clip coefficient, on every processor.
TEST(MemoryOnAllTargets, SumsOfSquaresAreBitIdentical) {
  for (const auto format : kFormats) {
    for (const auto size : kSizes) {
      const auto numbers = random_numbers(format, size);
      const double expected = scalar().examine(numbers.read_only(), size, 0.3f).sum_of_squares;
      for (const char* target : {"avx2", "avx512"}) {
        if (find(target) == nullptr) continue;
        EXPECT_EQ(find(target)->examine(numbers.read_only(), size, 0.3f).sum_of_squares, expected)
            << target << " " << size;
      }
    }
  }
}

}  // namespace
}  // namespace amp::tests::memory_test
