// Numbers counted by their exponents.
#if defined(AMP_KERNELS_CPU_EXPONENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_EXPONENTS_INL_H_
#undef AMP_KERNELS_CPU_EXPONENTS_INL_H_
#else
#define AMP_KERNELS_CPU_EXPONENTS_INL_H_
#endif

#include <bit>

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

// Four tables in turn: equal exponents follow each other often, and would wait for the counter.
inline void count_exponents(ConstSpan values, std::size_t count, ExponentHistogram& histogram) {
  std::int64_t tables[4][256] = {};
  const auto special = [&] {
    std::int64_t sum = 0;
    for (const auto& table : tables) sum += table[0] + table[255];
    return sum;
  };
  const std::int64_t zeros_before = histogram.zeros;
  float room[kBlock];
  for (Block block(count); block.size > 0; block.next()) {
    const float* x = in_fp32(values, block, room);
    const auto before = special();
    for (std::size_t i = 0; i < block.size; ++i)
      ++tables[i % 4][std::bit_cast<std::uint32_t>(x[i]) >> 23 & 0xFF];
    if (special() != before) count_special(x, block.size, histogram);
  }
  for (std::size_t e = 0; e < histogram.counts.size(); ++e) {
    histogram.counts[e] += tables[0][e] + tables[1][e] + tables[2][e] + tables[3][e];
  }
  histogram.counts[0] -= histogram.zeros - zeros_before;
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
