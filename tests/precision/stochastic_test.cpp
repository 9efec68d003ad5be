// Stochastic rounding: between neighbours, right on average, and the same on any number of threads.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "amp/precision.h"

namespace stochastic_test {
namespace {

using amp::Format;
using amp::Rounding;

const std::vector<Format> kRounding = {Format::tf32, Format::bf16, Format::fp16, Format::e4m3,
                                       Format::e5m2};

amp::QuantizeOptions at_random(std::uint64_t seed) {
  return {.rounding = Rounding::stochastic, .seed = seed};
}

// The distance of the format's numbers around x.
double step_at(double x, const amp::FormatInfo& info) {
  const double low = std::max(std::abs(x), info.min_normal);
  return std::ldexp(info.epsilon, std::ilogb(low));
}

// Two million draws for each number; 4 sigma of the mean of a number that is up with probability p.
TEST(Stochastic, TheMeanIsRight) {
  constexpr std::int64_t kDraws = 1 << 20;
  for (const auto format : kRounding) {
    const auto& info = amp::format_info(format);
    for (const double x :
         {1.01, -1.3, 3.141592, 100.7, info.min_normal * 1.03, info.min_normal * 0.77,
          -info.min_subnormal * 0.4, info.min_subnormal * 1e-3, info.max_finite * 0.999}) {
      const double value = double{static_cast<float>(x)};
      const double step = step_at(value, info);
      const double up = value / step - std::floor(value / step);
      const double sigma = step * std::sqrt(up * (1 - up) / kDraws);
      for (const std::uint64_t seed : {1u, 2u}) {
        const auto drawn =
            amp::quantize(at::full({kDraws}, value, c10::kFloat), format, at_random(seed));
        const double mean = drawn.to(c10::kDouble).mean().item<double>();
        EXPECT_LE(std::abs(mean - value), 4 * sigma) << info.name << ' ' << value << ' ' << seed;
      }
    }
  }
}

// The same element under many seeds: that draws are right across seeds, too.
TEST(Stochastic, TheMeanOverSeedsIsRight) {
  constexpr int kSeeds = 20000;
  double sum = 0;
  const auto x = at::full({3}, 1.03f);
  for (int seed = 0; seed < kSeeds; ++seed)
    sum += amp::quantize(x, Format::e4m3, at_random(static_cast<std::uint64_t>(seed)))[2]
               .item<double>();
  const double up = (double{1.03f} - 1) / 0.125;
  EXPECT_NEAR(sum / kSeeds, double{1.03f}, 4 * 0.125 * std::sqrt(up * (1 - up) / kSeeds));
}

TEST(Stochastic, OnlyNeighboursAndExactNumbersStay) {
  for (const auto format : kRounding) {
    const auto& info = amp::format_info(format);
    const auto exponents = at::arange(-20, 8, c10::kFloat).repeat({1000});
    const auto x = at::exp2(exponents) * at::linspace(-2, 2, exponents.numel(), c10::kFloat);
    const auto drawn = amp::quantize(x, format, at_random(9));
    const auto again = amp::quantize(drawn, format, at_random(10));
    EXPECT_TRUE(at::equal(drawn, again)) << info.name;
    std::int64_t far = 0, moved = 0;
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const double value = x[i].item<double>(), found = drawn[i].item<double>();
      far += std::abs(found - value) >= step_at(value, info) && std::abs(value) <= info.max_finite;
      moved += found != value;
    }
    EXPECT_EQ(far, 0) << info.name;
    EXPECT_GT(moved, 1000) << info.name;
  }
}

TEST(Stochastic, BeyondTheLargestAsNearest) {
  const auto x = at::tensor({449.0f, 464.0f, 465.0f, 1e6f});
  const auto saturated = amp::quantize(x, Format::e4m3, at_random(1));
  EXPECT_TRUE(at::equal(saturated, at::full({4}, 448.0f)));
  auto options = at_random(1);
  options.saturate = false;
  const auto found = amp::quantize(x, Format::e4m3, options);
  EXPECT_EQ(found[0].item<float>(), 448);
  EXPECT_TRUE(std::isnan(found[2].item<float>()));
  EXPECT_TRUE(std::isnan(found[3].item<float>()));
  EXPECT_EQ(found[1].item<float>(), 448);
  const auto half = amp::quantize(at::tensor({65519.0f, 65520.0f}), Format::fp16, at_random(1));
  EXPECT_EQ(half[0].item<float>(), 65504);
  EXPECT_TRUE(std::isinf(half[1].item<float>()));
}

TEST(Stochastic, TheSameOnAnyNumberOfThreads) {
  const auto x = at::linspace(-10, 10, 1'000'003, c10::kFloat);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = amp::quantize(x, Format::e4m3, at_random(5));
  at::set_num_threads(3);
  const auto three = amp::quantize(x, Format::e4m3, at_random(5));
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, three));
  EXPECT_FALSE(at::equal(one, amp::quantize(x, Format::e4m3, at_random(6))));
  // Codes are drawn as values are.
  const auto codes = amp::encode(x, Format::e4m3, at_random(5));
  EXPECT_TRUE(at::equal(amp::decode(codes), one));
}

}  // namespace
}  // namespace stochastic_test
