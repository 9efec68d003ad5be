// What the tests of cpu_math share: operands of every layout, and the comparison of an fp16 result
// with the exact one.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "amp/cpu_math.h"

namespace cpu_math_test {

// Turns the fp16 path on or off and leaves it off: as LibTorch is without Ampersand.
class HalfMath {
 public:
  explicit HalfMath(bool on) { amp::set_cpu_half_math(on); }
  ~HalfMath() { amp::set_cpu_half_math(false); }
  HalfMath(const HalfMath&) = delete;
  HalfMath& operator=(const HalfMath&) = delete;
};

enum class Layout { contiguous, transposed, every_other_column, slice, expanded_row, expanded };

inline std::vector<Layout> layouts() {
  return {Layout::contiguous, Layout::transposed,   Layout::every_other_column,
          Layout::slice,      Layout::expanded_row, Layout::expanded};
}

// Normally distributed values in [rows, columns] of the given layout.
inline at::Tensor matrix(std::int64_t rows, std::int64_t columns, Layout layout = {},
                         c10::ScalarType dtype = at::kHalf) {
  const auto values = [&](std::int64_t r, std::int64_t c) { return at::randn({r, c}).to(dtype); };
  switch (layout) {
    case Layout::contiguous:
      return values(rows, columns);
    case Layout::transposed:
      return values(columns, rows).t();
    case Layout::every_other_column:
      return values(rows, 2 * columns).slice(1, 0, {}, 2);
    case Layout::slice:
      return values(rows + 3, columns + 5).slice(0, 3).slice(1, 5);
    case Layout::expanded_row:
      return values(1, columns).expand({rows, columns});
    case Layout::expanded:
      return values(1, 1).expand({rows, columns});
  }
  return {};
}

inline at::Tensor wide(const at::Tensor& tensor) { return tensor.to(at::kDouble); }

// Expects `result` to be Half and each element to be `exact` rounded once from an fp32 sum of
// `terms` products whose absolute values add up to `magnitude`: within half a unit in fp16's last
// place, plus what the fp32 sum may be off, 4 sqrt(terms) 2^-24 magnitude (errors of independent
// sign; the 4 makes one in a million a failure's chance small).
inline void expect_rounded_once(const at::Tensor& result, const at::Tensor& exact,
                                const at::Tensor& magnitude, std::int64_t terms) {
  ASSERT_EQ(result.scalar_type(), at::kHalf);
  ASSERT_EQ(result.sizes(), exact.sizes());
  if (result.numel() == 0) return;
  // Below 2^-14 fp16 is subnormal and its last place is 2^-24 everywhere.
  const auto exponent = exact.abs().clamp_min(std::exp2(-14)).log2().floor();
  const auto half_place = at::exp2(exponent - 11);
  const auto sum_error =
      magnitude *
      (4 * std::sqrt(static_cast<double>(std::max<std::int64_t>(terms, 1))) * std::exp2(-24));
  const auto excess = (wide(result) - exact).abs() - half_place - sum_error;
  EXPECT_LE(excess.max().item<double>(), 0)
      << "of values up to " << exact.abs().max().item<double>();
}

// Same dtype, sizes, strides and bits.
inline void expect_identical(const at::Tensor& ours, const at::Tensor& theirs) {
  ASSERT_EQ(ours.defined(), theirs.defined());
  if (!ours.defined()) return;
  EXPECT_EQ(ours.scalar_type(), theirs.scalar_type());
  EXPECT_EQ(ours.sizes(), theirs.sizes());
  EXPECT_EQ(ours.strides(), theirs.strides());
  const auto bytes = [](const at::Tensor& t) { return t.contiguous().view(-1).view(at::kByte); };
  EXPECT_TRUE(ours.numel() == 0 || at::equal(bytes(ours), bytes(theirs)));
}

// The message that LibTorch refuses `call` with; empty if it does not.
template <typename Call>
std::string refusal(const Call& call) {
  try {
    call();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

}  // namespace cpu_math_test
