// The reference of the kernels that round to a grid, in double: by arithmetic, not in bits.
#include <algorithm>
#include <cmath>
#include <limits>

#include "src/kernels/element_noise.h"
#include "src/kernels/reference/kernels.h"
#include "src/kernels/reference/numbers.h"

namespace amp::kernels::reference_detail {
namespace {

// The distance of the grid's numbers around x.
double step_at(double x, const Grid& grid) {
  const int exponent = x == 0 ? grid.min_exponent : std::max(std::ilogb(x), grid.min_exponent);
  return std::ldexp(1.0, exponent - grid.mantissa_bits);
}

double nearest_even(double x, const Grid& grid) {
  const double step = step_at(x, grid);
  return std::nearbyint(x / step) * step;
}

bool overflows(double x, const Grid& grid) {
  return std::isinf(x) || std::abs(nearest_even(x, grid)) > double{grid.largest};
}

// The random number as a fraction of the step pushes a number up. Its bits are those that fp32 has
// below the grid's, and below the smallest normal number 30 - mantissa_bits of them, the upper ones.
double at_random(double x, const Grid& grid, std::uint32_t random) {
  const bool small = std::abs(x) < std::ldexp(1.0, grid.min_exponent) && grid.min_exponent > -126;
  const int bits = small ? 30 - grid.mantissa_bits : 23 - grid.mantissa_bits;
  const std::uint32_t drawn = small ? random >> (32 - bits) : random & ((1u << bits) - 1);
  const double step = step_at(x, grid), steps = std::abs(x) / step, below = std::floor(steps);
  const double part = std::floor(std::ldexp(steps - below, bits));
  const bool up = part + static_cast<double>(drawn) >= std::ldexp(1.0, bits);
  return std::copysign(std::min((below + (up ? 1 : 0)) * step, double{grid.largest}), x);
}

double rounded(double x, std::size_t i, const GridRounding& rounding) {
  const auto product = double{static_cast<float>(x * double{rounding.scale})};
  if (std::isnan(product)) return x;
  if (overflows(product, rounding.grid))
    return std::copysign(double{rounding.grid.overflow}, product);
  if (!rounding.at_random) return nearest_even(product, rounding.grid);
  return at_random(product, rounding.grid, element_bits(rounding.seed, rounding.first + i));
}

double larger_finite(double a, double x) { return std::isfinite(x) ? std::max(a, std::abs(x)) : a; }

std::uint8_t code_of(double x, const Grid& grid) {
  const unsigned sign = std::signbit(x) ? 0x80 : 0;
  const int m = grid.mantissa_bits;
  if (std::isnan(x)) return static_cast<std::uint8_t>(sign | 0x7F);
  if (std::isinf(x)) return static_cast<std::uint8_t>(sign | (0x80u - (1u << m)));
  const double steps = std::abs(x) / step_at(x, grid);
  const int exponent = x == 0 ? grid.min_exponent : std::max(std::ilogb(x), grid.min_exponent);
  // A normal number's steps have the leading bit, which adds 1 to an exponent field of one too few.
  const int code = ((exponent - grid.min_exponent) << m) + static_cast<int>(steps);
  return static_cast<std::uint8_t>(sign | static_cast<unsigned>(code));
}

double value_of(std::uint8_t code, const Grid& grid) {
  const int m = grid.mantissa_bits, field = (code & 0x7F) >> m, mantissa = code & ((1 << m) - 1);
  const bool last_field = field == (0x7F >> m);
  double size = std::ldexp(mantissa + (field == 0 ? 0 : 1 << m),
                           std::max(field, 1) - 1 + grid.min_exponent - m);
  if (grid.has_inf && last_field)
    size = mantissa == 0 ? std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  if (!grid.has_inf && (code & 0x7F) == 0x7F) size = std::numeric_limits<double>::quiet_NaN();
  return (code & 0x80) != 0 ? -size : size;
}

}  // namespace

float round_to_grid(ConstSpan from, Span to, std::size_t count, const GridRounding& rounding) {
  double amax = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double x = read(from, i);
    amax = larger_finite(amax, x);
    const double back = rounded(x, i, rounding) * double{rounding.inv_scale};
    write(to, i, double{static_cast<float>(back)});
  }
  return static_cast<float>(amax);
}

float encode_8(ConstSpan from, std::uint8_t* to, std::size_t count, const GridRounding& rounding) {
  double amax = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double x = read(from, i);
    amax = larger_finite(amax, x);
    to[i] = code_of(rounded(x, i, rounding), rounding.grid);
  }
  return static_cast<float>(amax);
}

void decode_8(const std::uint8_t* from, float* to, std::size_t count, const Grid& grid,
              float inv_scale) {
  for (std::size_t i = 0; i < count; ++i)
    to[i] = static_cast<float>(value_of(from[i], grid) * double{inv_scale});
}

Survey survey(ConstSpan values, std::size_t count, const Grid& grid, float scale) {
  Survey found;
  for (std::size_t i = 0; i < count; ++i) {
    const double x = read(values, i);
    found.amax = static_cast<float>(larger_finite(double{found.amax}, x));
    if (x == 0) ++found.zeros;
    if (std::isinf(x)) ++found.infs;
    if (std::isnan(x)) ++found.nans;
    if (x == 0 || !std::isfinite(x)) continue;
    const auto product = double{static_cast<float>(x * double{scale})};
    if (overflows(product, grid)) {
      ++found.overflowed;
      continue;
    }
    const double size = std::abs(nearest_even(product, grid));
    if (size == 0)
      ++found.flushed;
    else if (size < std::ldexp(1.0, grid.min_exponent))
      ++found.subnormal;
  }
  return found;
}

}  // namespace amp::kernels::reference_detail
