// A grid's limits as bits of fp32 magnitudes, whose order is that of the numbers.
#pragma once

#include <bit>
#include <cstdint>

#include "src/kernels/kernels.h"

namespace amp::kernels {

// 2^exponent, from fp32's smallest subnormal number on.
constexpr float power_of_two(int exponent) {
  return exponent >= -126 ? std::bit_cast<float>(static_cast<std::uint32_t>(exponent + 127) << 23)
                          : std::bit_cast<float>(std::uint32_t{1} << (exponent + 149));
}

constexpr std::int32_t magnitude_bits(float x) {
  return std::bit_cast<std::int32_t>(x) & 0x7FFFFFFF;
}

struct GridBits {
  explicit constexpr GridBits(const Grid& grid)
      : dropped(23 - grid.mantissa_bits),
        low_mask((1 << dropped) - 1),
        half((1 << dropped) >> 1),
        min_normal(magnitude_bits(power_of_two(grid.min_exponent))),
        min_subnormal(power_of_two(grid.min_exponent - grid.mantissa_bits)) {
    const std::int32_t largest = magnitude_bits(grid.largest);
    // Halfway to the next number, which would be even if `largest` is odd.
    const bool odd = half > 0 && (largest >> dropped & 1) != 0;
    first_overflow = largest + half + (odd ? 0 : 1);
    // More than half of the smallest number; in fp32 itself every number but 0.
    const int half_step = grid.min_exponent - grid.mantissa_bits - 1;
    first_kept = half > 0 ? magnitude_bits(power_of_two(half_step)) + 1 : 1;
    // Half a step below the smallest normal number, which is the even neighbour there. fp32 has twice
    // as many numbers just below a power of two as above, but for its own subnormal ones.
    first_normal = min_normal - (grid.min_exponent > -126 ? 2 * half : half);
  }

  int dropped;            // bits of fp32's mantissa
  std::int32_t low_mask;  // those bits
  std::int32_t half;      // the uppermost of them; 0 if there is none
  std::int32_t min_normal;
  float min_subnormal;
  // The first numbers that, to nearest even, round beyond the largest; not to 0; to a normal number.
  std::int32_t first_overflow = 0, first_kept = 0, first_normal = 0;
};

}  // namespace amp::kernels
