// Numbers counted by their exponents.
#if defined(AMP_KERNELS_CPU_EXPONENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_EXPONENTS_INL_H_
#undef AMP_KERNELS_CPU_EXPONENTS_INL_H_
#else
#define AMP_KERNELS_CPU_EXPONENTS_INL_H_
#endif

#include <bit>
#include <cstring>

#include "src/kernels/cpu/blocks-inl.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

// The numbers whose exponent field says no more: zeros, subnormal ones, Inf.
inline void count_special(const float* x, std::size_t size, ExponentHistogram& histogram) {
  for (std::size_t i = 0; i < size; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(x[i]) & 0x7FFFFFFF;
    histogram.zeros += bits == 0;
    histogram.infs += bits == 0x7F800000;
    if (bits - 1 < 0x7FFFFF)
      ++histogram.subnormal[static_cast<std::size_t>(std::bit_width(bits)) - 1];
  }
}

// The exponent fields of a block, and zeros after it up to a multiple of 8.
inline void exponent_fields(const float* x, std::size_t size, std::uint8_t* fields) {
  const Floats d;
  const Unsigned<Floats> du;
  const hn::Rebind<std::uint8_t, Floats> bytes;
  for (std::size_t i = 0; i < size; i += kLanes) {
    const auto bits = hn::BitCast(du, load(d, x + i, size - i));
    const auto field = hn::And(hn::ShiftRight<23>(bits), hn::Set(du, 0xFF));
    hn::StoreU(hn::TruncateTo(bytes, field), bytes, fields + i);
  }
  for (std::size_t i = size; i % 8 != 0; ++i) fields[i] = 0;
}

// Eight tables in turn: equal exponents follow each other often, and would wait for the counter.
inline void count_exponents(ConstSpan values, std::size_t count, ExponentHistogram& histogram) {
  std::int64_t tables[8][256] = {};
  const auto special = [&] {
    std::int64_t sum = 0;
    for (const auto& table : tables) sum += table[0] + table[255];
    return sum;
  };
  const std::int64_t zeros_before = histogram.zeros;
  std::int64_t padding = 0;
  float room[kBlock];
  std::uint8_t fields[kBlock];
  for (Block block(count); block.size > 0; block.next()) {
    const float* x = in_fp32(values, block, room);
    exponent_fields(x, block.size, fields);
    const auto before = special();
    for (std::size_t i = 0; i < block.size; i += 8) {
      std::uint64_t eight;
      std::memcpy(&eight, fields + i, 8);
      ++tables[0][eight & 0xFF], ++tables[1][eight >> 8 & 0xFF];
      ++tables[2][eight >> 16 & 0xFF], ++tables[3][eight >> 24 & 0xFF];
      ++tables[4][eight >> 32 & 0xFF], ++tables[5][eight >> 40 & 0xFF];
      ++tables[6][eight >> 48 & 0xFF], ++tables[7][eight >> 56];
    }
    if (special() != before) count_special(x, block.size, histogram);
    padding += static_cast<std::int64_t>((8 - block.size % 8) % 8);
  }
  for (std::size_t e = 0; e < histogram.counts.size(); ++e) {
    for (const auto& table : tables) histogram.counts[e] += table[e];
  }
  histogram.counts[0] -= histogram.zeros - zeros_before + padding;
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
