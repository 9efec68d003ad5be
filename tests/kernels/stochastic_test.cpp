// Rounding at random: right on average, from the documented bits, whatever the chunks.
#include <functional>

#include "src/kernels/philox.h"
#include "tests/kernels/numbers.h"

namespace amp::tests::stochastic_test {
namespace {

class Stochastic : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, Stochastic, kTargetsAndReference, target_name);

constexpr Format kLowFormats[] = {Format::bf16, Format::fp16};

// Rounds fp32 numbers at random: low = 0 - 1 * (-x), exactly x before the rounding.
void round_at_random(const Table& kernels, const Numbers& x, Numbers& low, const Noise& noise) {
  Numbers negative(Format::fp32, x.size());
  for (std::size_t i = 0; i < x.size(); ++i) negative.set(i, -x[i]);
  for (std::size_t i = 0; i < low.size(); ++i) low.set(i, 0);
  const Weights weights{
      .form = WeightForm::stochastic, .low = low.codes(), .low_format = low.format()};
  kernels.sgd({1, 0, 0, 0, false, false, false}, {.scaled = negative.read_only()}, weights,
              {nullptr, Format::fp32}, noise, x.size());
}

Numbers repeated(double x, std::size_t size) {
  Numbers numbers(Format::fp32, size);
  for (std::size_t i = 0; i < size; ++i) numbers.set(i, x);
  return numbers;
}

// The two neighbours of x in a format, and how far x is on the way from the lower.
struct Neighbours {
  double below, above, part;
};
Neighbours neighbours(double x, Format format) {
  const int digits = format == Format::fp16 ? 11 : 8;
  const int min_exponent = format == Format::fp16 ? -14 : -126;
  const double step = std::ldexp(1.0, std::max(std::ilogb(x), min_exponent) - (digits - 1));
  const double below = std::floor(x / step) * step;
  return {below, below + step, (x - below) / step};
}

// In steps of the format, so that subnormal numbers count alike. Four standard deviations.
TEST_P(Stochastic, TheMeanIsRight) {
  constexpr std::size_t kDraws = 200'000;
  const std::vector<double> both = {1.001, 1.0 + 0x1p-12, -3.1415926, 0.1, -1e-3, 255.3, 60001.3};
  const std::vector<double> fp16 = {3e-6, -7.7e-7, 0x1.8p-26, 6.1e-5, 0x1p-15 + 0x1p-27, 2e-8};
  const std::vector<double> bf16 = {1e30, -1e-30, 3e-39, -1.23e-40, 0x1.3p-133, 3e38};
  for (const auto format : kLowFormats) {
    auto values = both;
    const auto& more = format == Format::fp16 ? fp16 : bf16;
    values.insert(values.end(), more.begin(), more.end());
    for (double x : values) {
      const auto wide = repeated(x, kDraws);
      x = wide[0];  // in fp32
      Numbers low(format, kDraws);
      round_at_random(kernels(), wide, low, {.seed = 42, .step = 1, .parameter = 2});
      const auto [below, above, part] = neighbours(x, format);
      double ups = 0;
      for (std::size_t i = 0; i < kDraws; ++i) {
        ASSERT_TRUE(low[i] == below || low[i] == above) << low[i] << " from " << x;
        ups += low[i] == above;
      }
      const double sigma = std::sqrt(part * (1 - part) / kDraws);
      EXPECT_NEAR(ups / kDraws, part, 4 * sigma + 0x1p-16) << format_name(format) << " " << x;
    }
  }
}

TEST_P(Stochastic, NumbersOfTheFormatStayWhatTheyAre) {
  for (const auto format : kLowFormats) {
    Numbers codes(format, 65536), wide(Format::fp32, 65536), low(format, 65536);
    for (std::uint32_t code = 0; code < 65536; ++code) {
      codes.set_code(code, code);
      wide.set(code, codes[code]);
    }
    round_at_random(kernels(), wide, low, {.seed = 1});
    for (std::uint32_t code = 0; code < 65536; ++code) {
      const bool kept = low[code] == codes[code];  // -0 is 0
      ASSERT_TRUE(kept || (std::isnan(codes[code]) && std::isnan(low[code]))) << code;
    }
  }
}

// Beyond the largest number as nearest does, so that an overflow shows and nothing else is Inf.
TEST_P(Stochastic, OverflowsWhereNearestDoes) {
  for (const auto format : kLowFormats) {
    const double top = largest(format), step = format == Format::fp16 ? 32 : 0x1p120;
    for (const double sign : {1.0, -1.0}) {
      const auto all_become = [&](double x, double expected) {
        Numbers low(format, 1000);
        round_at_random(kernels(), repeated(sign * x, 1000), low, {.seed = 9});
        for (std::size_t i = 0; i < 1000; ++i) ASSERT_EQ(low[i], sign * expected) << x;
      };
      all_become(top, top);
      all_become(top + 0.49 * step, top);
      all_become(top + 0.51 * step, kInf);
      all_become(kInf, kInf);
      if (format == Format::fp16) all_become(1e6, kInf);
      if (format == Format::bf16) all_become(largest(Format::fp32), kInf);
    }
    Numbers low(format, 40);
    round_at_random(kernels(), repeated(kNaN, 40), low, {});
    for (std::size_t i = 0; i < 40; ++i) EXPECT_TRUE(std::isnan(low[i]));
  }
}

// Element 128 b + 32 w + 2 l + h: half h of word w of the counter {16 b + l, step, parameter,
// stream << 30}.
TEST_P(Stochastic, TheBitsAreThoseDocumented) {
  const Noise noise{.seed = 0x123456789abcdef0, .step = 77, .parameter = 88, .first = 5 * 128};
  Numbers low(Format::bf16, 640);
  const auto wide = repeated(1 + 0.3 * 0x1p-7, low.size());
  round_at_random(kernels(), wide, low, noise);
  const std::uint32_t cut_off = wide.code(0) & 0xFFFF;
  for (std::uint32_t i = 0; i < low.size(); ++i) {
    const std::uint32_t b = 5 + i / 128, w = i / 32 % 4, l = i / 2 % 16, h = i % 2;
    const auto words = Philox::words({16 * b + l, 77, 88, 0}, {0x9abcdef0, 0x12345678});
    const bool up = cut_off + (words[w] >> (16 * h) & 0xFFFF) >= 0x10000;
    ASSERT_EQ(low[i], up ? 1 + 0x1p-7 : 1) << i;
  }
}

TEST_P(Stochastic, ChunksChangeNothing) {
  constexpr std::size_t kSize = 5000;
  const auto wide = repeated(0.123456, kSize);
  for (const auto format : kLowFormats) {
    Numbers whole(format, kSize);
    round_at_random(kernels(), wide, whole, {.seed = 3, .first = 1000});
    for (const std::size_t chunk : {1U, 7U, 63U, 64U, 65U, 127U, 128U, 129U, 1000U, 1024U, 1500U}) {
      for (std::size_t begin = 0; begin < kSize; begin += chunk) {
        const std::size_t size = std::min(chunk, kSize - begin);
        Numbers part(format, size);
        round_at_random(kernels(), repeated(0.123456, size), part,
                        {.seed = 3, .first = 1000 + begin});
        for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(part.code(i), whole.code(begin + i));
      }
    }
  }
}

TEST_P(Stochastic, TheSameNoiseGivesTheSameAndAnyOtherAnother) {
  const auto rounded = [&](const Noise& noise) {
    Numbers low(Format::bf16, 1000);
    round_at_random(kernels(), repeated(0.123456, 1000), low, noise);
    return low;
  };
  const Noise noise{.seed = 1, .step = 2, .parameter = 3, .first = 64};
  const auto base = rounded(noise);
  EXPECT_EQ(differences(rounded(noise), base), 0u);
  EXPECT_GT(differences(rounded({2, 2, 3, 64}), base), 100u);
  EXPECT_GT(differences(rounded({1 + (std::uint64_t{1} << 40), 2, 3, 64}), base), 100u);
  EXPECT_GT(differences(rounded({1, 3, 3, 64}), base), 100u);
  EXPECT_GT(differences(rounded({1, 2, 4, 64}), base), 100u);
  EXPECT_GT(differences(rounded({1, 2, 3, 128}), base), 100u);
  EXPECT_GT(differences(rounded({1, 2, 3, 64 + (std::uint64_t{1} << 36)}), base), 100u);
}

// Weights and three moments that all come to the same fp32 number: each has its own stream.
TEST_P(Stochastic, TheTensorsOfAStepAreRoundedIndependently) {
  constexpr std::size_t kSize = 4000;
  const double x = 1 + 0.5 * 0x1p-7;
  const auto gradient = repeated(x, kSize);
  Numbers low(Format::bf16, kSize), first(Format::bf16, kSize), second(Format::bf16, kSize),
      top(Format::bf16, kSize);
  // m = g, v = g g / x = g, largest = v, w = 0 + m.
  const Adam adam{.beta1 = 0,
                  .beta2 = 0,
                  .eps = 0,
                  .one_minus_beta1 = 1,
                  .one_minus_beta2 = static_cast<float>(1 / x),
                  .l2 = 0,
                  .decay = 1,
                  .step_size = static_cast<float>(-std::sqrt(x)),
                  .sqrt_correction2 = 1,
                  .maximize = false};
  kernels().adam(adam, {.scaled = gradient.read_only()},
                 {.form = WeightForm::stochastic, .low = low.codes()}, first.span(), second.span(),
                 top.span(), {.seed = 5}, kSize);
  const Numbers* all[] = {&low, &first, &second, &top};
  for (const auto* numbers : all) {
    for (std::size_t i = 0; i < kSize; ++i) {
      ASSERT_TRUE((*numbers)[i] == 1 || (*numbers)[i] == 1 + 0x1p-7) << (*numbers)[i];
    }
  }
  for (std::size_t a = 0; a < 4; ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      const auto unequal = static_cast<double>(differences(*all[a], *all[b]));
      EXPECT_NEAR(unequal / kSize, 0.5, 4 * std::sqrt(0.25 / kSize)) << a << " and " << b;
    }
  }
}

// A slow average in bf16: 0.001 of the way a step is less than half a bf16 step, and nearest would
// never leave 1.
TEST_P(Stochastic, ASlowAverageArrives) {
  constexpr std::size_t kSize = 1000;
  Numbers first(Format::bf16, kSize), second(Format::bf16, kSize), weights(Format::fp32, kSize);
  Numbers gradient(Format::fp32, kSize);
  for (std::size_t i = 0; i < kSize; ++i) second.set(i, 1);
  const Adam adam{.beta1 = 0.9f,
                  .beta2 = 0.999f,
                  .eps = 1,
                  .one_minus_beta1 = 0.1f,
                  .one_minus_beta2 = 0.001f,
                  .l2 = 0,
                  .decay = 1,
                  .step_size = 0,
                  .sqrt_correction2 = 1,
                  .maximize = false};
  for (std::uint32_t step = 0; step < 1000; ++step) {
    kernels().adam(adam, {.scaled = gradient.read_only()}, {.fp32 = weights.fp32()}, first.span(),
                   second.span(), {nullptr, Format::fp32}, {.seed = 1, .step = step}, kSize);
  }
  double mean = 0;
  for (std::size_t i = 0; i < kSize; ++i) mean += second[i] / kSize;
  EXPECT_NEAR(mean, std::pow(0.999, 1000), 0.005);  // 0.3677
}

}  // namespace
}  // namespace amp::tests::stochastic_test
