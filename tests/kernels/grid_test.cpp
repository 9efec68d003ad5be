// round_to_grid, encode_8, decode_8 and survey on every target, against the reference and by hand.
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "src/kernels/element_noise.h"
#include "tests/kernels/numbers.h"

namespace amp::tests::grid_test {
namespace {

class Grids : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, Grids, kTargets, target_name);

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNotANumber = std::numeric_limits<float>::quiet_NaN();

struct Named {
  const char* name;
  Grid grid;
};

// mantissa_bits, min_exponent, largest, overflow, has_inf
const std::vector<Named> kGrids = {
    {"fp32", {23, -126, 0x1.fffffep127f, kInfinity, true}},
    {"tf32", {10, -126, 0x1.ffcp127f, kInfinity, true}},
    {"tf32, saturating", {10, -126, 0x1.ffcp127f, 0x1.ffcp127f, true}},
    {"bf16", {7, -126, 0x1.fep127f, kInfinity, true}},
    {"fp16", {10, -14, 65504, kInfinity, true}},
    {"fp16, saturating", {10, -14, 65504, 65504, true}},
    {"e4m3", {3, -6, 448, kNotANumber, false}},
    {"e4m3, saturating", {3, -6, 448, 448, false}},
    {"e5m2", {2, -14, 57344, kInfinity, true}},
    {"e5m2, saturating", {2, -14, 57344, 57344, true}},
};

// Every grid's edges, with both neighbours in fp32 of each, and the special values; then numbers of
// every exponent.
std::vector<float> telling_values() {
  std::vector<float> values = {0, kInfinity, kNotANumber, 0x1.fffffep127f, 0x1p-149f, 0x1p-126f};
  const auto with_neighbours = [&](double x) {
    const auto value = static_cast<float>(x);
    for (const float near : {std::nextafter(value, 0.0f), value, std::nextafter(value, kInfinity)})
      values.push_back(near);
  };
  for (const auto& [name, grid] : kGrids) {
    const double step = std::ldexp(1.0, grid.min_exponent - grid.mantissa_bits);
    const double top_step = std::ldexp(1.0, std::ilogb(grid.largest) - grid.mantissa_bits);
    for (const double x : {0.5, 1.0, 1.5, 2.5}) with_neighbours(x * step);
    for (const double x : {-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5}) {
      with_neighbours(std::ldexp(1.0, grid.min_exponent) + x * step);
      with_neighbours(double{grid.largest} + x * top_step);
      with_neighbours(1 + x * std::ldexp(1.0, -grid.mantissa_bits));
    }
  }
  std::mt19937 random(3);
  for (int i = 0; i < 3000; ++i)
    values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
  const auto positive = values;
  for (const float value : positive) values.push_back(-value);
  return values;
}

Numbers numbers_of(Format format, const std::vector<float>& values, std::size_t begin = 1) {
  Numbers numbers(format, values.size(), begin);
  for (std::size_t i = 0; i < values.size(); ++i) numbers.set(i, double{values[i]});
  return numbers;
}

// What each target must do alike: every grid, rounding, scale, source and target format.
void for_each_rounding(
    const std::function<void(const std::string&, const GridRounding&, Format, Format)>& check) {
  for (const auto& [name, grid] : kGrids) {
    for (const bool at_random : {false, true}) {
      for (const float scale : {1.0f, 8.0f, 0.3f}) {
        for (const auto from : kFormats) {
          for (const auto to : kFormats) {
            const auto shown = std::string(name) + (at_random ? " at random" : "") + " times " +
                               std::to_string(scale) + " from " + format_name(from) + " to " +
                               format_name(to);
            check(shown,
                  {.grid = grid,
                   .scale = scale,
                   .inv_scale = 1 / scale,
                   .at_random = at_random,
                   .seed = 11,
                   .first = 0xFFFFFF00},  // the upper half of the index changes within
                  from, to);
          }
        }
      }
    }
  }
}

TEST_P(Grids, RoundAsTheReference) {
  const auto values = telling_values();
  for_each_rounding(
      [&](const std::string& shown, const GridRounding& rounding, Format from, Format to) {
        const auto x = numbers_of(from, values);
        Numbers found(to, values.size(), 3), expected(to, values.size());
        const float amax = kernels().round_to_grid(x.read_only(), found.span(), x.size(), rounding);
        const float expected_amax =
            reference().round_to_grid(x.read_only(), expected.span(), x.size(), rounding);
        EXPECT_EQ(differences(found, expected), 0u) << shown;
        EXPECT_EQ(amax, expected_amax) << shown;
        EXPECT_TRUE(found.guards_intact());
      });
}

TEST_P(Grids, RoundInPlaceAndAnyNumber) {
  const auto values = telling_values();
  for (const auto size : kSizes) {
    const std::vector<float> some(values.begin(), values.begin() + static_cast<long>(size));
    for (const auto format : kFormats) {
      auto x = numbers_of(format, some, 3);
      Numbers expected(format, size);
      const GridRounding rounding{.grid = kGrids[6].grid};
      reference().round_to_grid(x.read_only(), expected.span(), size, rounding);
      kernels().round_to_grid(x.read_only(), x.span(), size, rounding);
      EXPECT_EQ(differences(x, expected), 0u) << format_name(format) << size;
      EXPECT_TRUE(x.guards_intact());
    }
  }
}

TEST_P(Grids, ChunksRoundAsTheWhole) {
  const auto values = telling_values();
  const auto x = numbers_of(Format::fp32, values);
  const GridRounding rounding{.grid = kGrids[8].grid, .at_random = true, .seed = 5};
  Numbers whole(Format::fp32, x.size()), parts(Format::fp32, x.size());
  kernels().round_to_grid(x.read_only(), whole.span(), x.size(), rounding);
  for (std::size_t first = 0, size = 1; first < x.size(); first += size, size = size * 3 + 1) {
    size = std::min(size, x.size() - first);
    const auto* from = static_cast<const float*>(x.data()) + first;
    kernels().round_to_grid({from, Format::fp32}, {parts.fp32() + first, Format::fp32}, size,
                            rounding.from(first));
  }
  EXPECT_EQ(differences(whole, parts), 0u);
}

TEST_P(Grids, CodesAsTheReference) {
  const auto values = telling_values();
  for_each_rounding(
      [&](const std::string& shown, const GridRounding& rounding, Format from, Format to) {
        if (rounding.grid.mantissa_bits > 3 || to != Format::fp32) return;
        const auto x = numbers_of(from, values);
        constexpr std::uint8_t kGuard = 0xA5;
        std::vector<std::uint8_t> found(x.size() + 1, kGuard), expected(x.size() + 1, kGuard);
        kernels().encode_8(x.read_only(), found.data(), x.size(), rounding);
        reference().encode_8(x.read_only(), expected.data(), x.size(), rounding);
        EXPECT_EQ(found, expected) << shown;
      });
}

TEST_P(Grids, EveryCodeAndBack) {
  for (const auto place : {6u, 8u}) {
    const auto& grid = kGrids[place].grid;
    std::vector<std::uint8_t> codes(256), back(256);
    for (unsigned code = 0; code < 256; ++code) codes[code] = static_cast<std::uint8_t>(code);
    Numbers found(Format::fp32, 256), expected(Format::fp32, 256);
    kernels().decode_8(codes.data(), found.fp32(), 256, grid, 0.5f);
    reference().decode_8(codes.data(), expected.fp32(), 256, grid, 0.5f);
    EXPECT_EQ(differences(found, expected), 0u);
    kernels().encode_8(found.read_only(), back.data(), 256, {.grid = grid, .scale = 2});
    for (unsigned code = 0; code < 256; ++code) {
      if (std::isnan(found[code]))
        EXPECT_EQ(back[code] & 0x7F, 0x7F);
      else
        EXPECT_EQ(back[code], code);
    }
  }
}

TEST_P(Grids, SurveyAsTheReference) {
  const auto values = telling_values();
  for (const auto& [name, grid] : kGrids) {
    for (const float scale : {1.0f, 1024.0f, 0x1p-100f}) {
      for (const auto format : kFormats) {
        for (const std::size_t size :
             {std::size_t{0}, std::size_t{5}, std::size_t{33}, values.size()}) {
          const auto x = numbers_of(format, values);
          const auto found = kernels().survey(x.read_only(), size, grid, scale);
          const auto expected = reference().survey(x.read_only(), size, grid, scale);
          const auto counts = [](const Survey& s) {
            return std::vector<std::int64_t>{s.zeros,      s.infs,    s.nans,
                                             s.overflowed, s.flushed, s.subnormal};
          };
          EXPECT_EQ(counts(found), counts(expected))
              << name << scale << format_name(format) << size;
          EXPECT_EQ(found.amax, expected.amax) << name << scale << format_name(format) << size;
        }
      }
    }
  }
}

// By hand: e4m3 has the steps 2^-9 around 0, 448 at the top, and ties go to even.
TEST_P(Grids, HandMadeE4m3) {
  const std::vector<float> x = {0x1p-10f, 0x1.8p-9f, 0x1.2p-9f, 17,   -19, 464,
                                465,      -500,      1.0625f,   1.1f, 240, 0x1.cp-7f};
  const std::vector<double> expected = {0,    0x1p-8, 0x1p-9, 16,    -20, 448,
                                        kNaN, kNaN,   1,      1.125, 240, 0x1.cp-7};
  Numbers rounded(Format::fp32, x.size());
  kernels().round_to_grid({x.data(), Format::fp32}, rounded.span(), x.size(),
                          {.grid = kGrids[6].grid});
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(expected[i]))
      EXPECT_TRUE(std::isnan(rounded[i])) << x[i];
    else
      EXPECT_EQ(rounded[i], expected[i]) << x[i];
  }
}

}  // namespace

// The bits of rounding at random: a million draws of each seed in 16 bins, by each half, and by pairs
// of neighbours. The 99.99 % point of chi-squared with 255 degrees of freedom is 347.
TEST(ElementNoise, IsEvenAndWithoutPairs) {
  for (const std::uint64_t seed : {0u, 1u, 2u, 77u}) {
    for (const int shift : {28, 12, 0}) {
      std::vector<double> pairs(256);
      constexpr int kDraws = 1 << 20;
      for (std::uint64_t i = 0; i < kDraws; ++i) {
        const auto one = element_bits(seed, i) >> shift & 15;
        const auto other_element = element_bits(seed, i + 1) >> shift & 15;
        ++pairs[one * 16 + other_element];
      }
      double chi_squared = 0;
      for (const double count : pairs) {
        const double expected = kDraws / 256.0;
        chi_squared += (count - expected) * (count - expected) / expected;
      }
      EXPECT_LT(chi_squared, 347) << "seed " << seed << ", shift " << shift;
    }
  }
}

TEST(ElementNoise, SeedsAndUpperHalvesDrawOtherBits) {
  const auto one_bits = [](std::uint64_t seed, std::uint64_t first, std::uint64_t other_seed,
                           std::uint64_t other_first) {
    int ones = 0;
    for (std::uint64_t i = 0; i < 4096; ++i)
      ones +=
          std::popcount(element_bits(seed, first + i) ^ element_bits(other_seed, other_first + i));
    return ones;
  };
  // 131072 bits, half of them on average, with a deviation of 181.
  EXPECT_NEAR(one_bits(1, 0, 2, 0), 65536, 800);
  EXPECT_NEAR(one_bits(1, 0, 1, std::uint64_t{1} << 32), 65536, 800);
  EXPECT_NEAR(one_bits(1, 0, std::uint64_t{1} << 40, 0), 65536, 800);
  EXPECT_NEAR(one_bits(1, 0, 1, 1), 65536, 800);
}

}  // namespace amp::tests::grid_test
