// Rounding to a grid: to nearest even or at random, in fp32.
#if defined(AMP_KERNELS_CPU_GRID_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_GRID_INL_H_
#undef AMP_KERNELS_CPU_GRID_INL_H_
#else
#define AMP_KERNELS_CPU_GRID_INL_H_
#endif

#include "src/kernels/cpu/lanes-inl.h"
#include "src/kernels/element_noise.h"
#include "src/kernels/grid_bits.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

using Integers = hn::RebindToSigned<Floats>;
using Bits = hn::Vec<Integers>;
using Words = hn::Vec<Unsigned<Floats>>;

// element_bits of the elements from `index` on, which share the upper half of their index.
HWY_INLINE Words random_words(const ElementKeys& keys, std::uint64_t index) {
  const Unsigned<Floats> d;
  const auto start = static_cast<std::uint32_t>(index) + keys.first;
  auto x = hn::Add(hn::Iota(d, 0), hn::Set(d, start));
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<17>(x)), hn::Set(d, kNoiseMultiplier1));
  x = hn::Xor(x, hn::Set(d, keys.second));
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<11>(x)), hn::Set(d, kNoiseMultiplier2));
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<15>(x)), hn::Set(d, kNoiseMultiplier3));
  return hn::Xor(x, hn::ShiftRight<14>(x));
}

// Magnitudes on a grid. A normal number is rounded in its bits, of which the lower ones go; below the
// smallest normal number the step is one and the same, so there arithmetic rounds: the addition of
// 2^23 steps to nearest even, a conversion to integers at random. Where fp32 and the grid have the
// same exponents no number is that small, and fp32's own subnormal numbers are rounded in their bits;
// the arithmetic then has zeros, because with subnormal operands it is six times slower.
class Rounder {
 public:
  explicit Rounder(const Grid& grid)
      : bits_(grid),
        half_minus_1_(bits_.half == 0 ? 0 : bits_.half - 1),
        odd_(bits_.half == 0 ? 0 : 1),
        first_normal_(grid.min_exponent == -126 ? 0 : bits_.min_normal),
        magic_(grid.min_exponent == -126 ? 0 : bits_.min_subnormal * 0x1p23f),
        fraction_bits_(30 - grid.mantissa_bits),
        step_(first_normal_ == 0 ? 0 : bits_.min_subnormal),
        to_units_(first_normal_ == 0 ? 0 : power_of_two(fraction_bits_) / bits_.min_subnormal),
        largest_(grid.largest),
        overflow_(magnitude_bits(grid.overflow)) {}

  HWY_INLINE Vector nearest(Vector x) const {
    const Bits size = magnitude(kFloats, x);
    const auto odd = hn::And(hn::ShiftRightSame(size, bits_.dropped), hn::Set(kBits, odd_));
    const auto up = hn::Add(hn::Add(size, hn::Set(kBits, half_minus_1_)), odd);
    const auto normal = hn::And(up, hn::Set(kBits, ~bits_.low_mask));
    const auto magic = hn::Set(kFloats, magic_);
    const auto small = hn::Sub(hn::Add(hn::BitCast(kFloats, size), magic), magic);
    return finish(x, size, either(size, small, normal));
  }

  HWY_INLINE Vector at_random(Vector x, Words random) const {
    const Bits size = magnitude(kFloats, x);
    const auto low = hn::And(hn::BitCast(kBits, random), hn::Set(kBits, bits_.low_mask));
    const auto normal = hn::And(hn::Add(size, low), hn::Set(kBits, ~bits_.low_mask));
    auto rounded = normal;
    const auto is_small = hn::Lt(size, hn::Set(kBits, first_normal_));
    if (!hn::AllFalse(kBits, is_small)) {
      const auto tiny = hn::BitCast(kFloats, hn::IfThenElseZero(is_small, size));
      const auto units = hn::ConvertTo(kBits, hn::Mul(tiny, hn::Set(kFloats, to_units_)));
      const auto noise = hn::ShiftRightSame(random, 32 - fraction_bits_);
      const auto steps =
          hn::ShiftRightSame(hn::Add(units, hn::BitCast(kBits, noise)), fraction_bits_);
      const auto small = hn::Mul(hn::ConvertTo(kFloats, steps), hn::Set(kFloats, step_));
      rounded = either(size, small, normal);
    }
    // Positive numbers have the order of their bits.
    const auto most = hn::Set(kBits, magnitude_bits(largest_));
    return finish(x, size, hn::Min(rounded, most));
  }

 private:
  static constexpr Floats kFloats{};
  static constexpr Integers kBits{};

  HWY_INLINE Bits either(Bits size, Vector small, Bits normal) const {
    const auto is_small = hn::Lt(size, hn::Set(kBits, first_normal_));
    return hn::IfThenElse(is_small, hn::BitCast(kBits, small), normal);
  }
  HWY_INLINE Vector finish(Vector x, Bits size, Bits rounded) const {
    const auto fits = hn::Lt(size, hn::Set(kBits, bits_.first_overflow));
    const auto is_nan = hn::Gt(size, hn::Set(kBits, 0x7F800000));
    const auto beyond = hn::IfThenElse(is_nan, size, hn::Set(kBits, overflow_));
    const auto sign = hn::Xor(hn::BitCast(kBits, x), size);
    return hn::BitCast(kFloats, hn::Or(hn::IfThenElse(fits, rounded, beyond), sign));
  }

  GridBits bits_;
  std::int32_t half_minus_1_, odd_, first_normal_;
  float magic_;
  int fraction_bits_;
  float step_, to_units_, largest_;
  std::int32_t overflow_;
};

// Calls write(i, rounded x of element i) for each vector of `from` but the part beyond `count`, which
// holds anything. Returns the largest finite |x|.
template <Format F, bool kScaled, bool kAtRandom, class Write>
HWY_INLINE float round_all(const void* from, std::size_t count, const GridRounding& rounding,
                           const Write& write) {
  const Floats d;
  const Integers di;
  const Rounder rounder(rounding.grid);
  auto largest = hn::Zero(di);
  for (std::size_t begin = 0; begin < count;) {
    // Up to the end, or to where the upper half of the index changes.
    const std::uint64_t index = rounding.first + begin, left = (~index & 0xFFFFFFFF) + 1;
    const auto end =
        kAtRandom && left < count - begin ? begin + static_cast<std::size_t>(left) : count;
    const auto keys = element_keys(rounding.seed, index);
    for (std::size_t i = begin; i < end; i += kLanes) {
      auto x = load_as<F>(d, from, i, end - i);
      const auto size = magnitude(d, x);
      largest = hn::Max(largest, hn::IfThenElseZero(hn::Lt(size, hn::Set(di, 0x7F800000)), size));
      if constexpr (kScaled) x = hn::Mul(x, hn::Set(d, rounding.scale));
      if constexpr (kAtRandom)
        x = rounder.at_random(x, random_words(keys, rounding.first + i));
      else
        x = rounder.nearest(x);
      write(i, end - i, x);
    }
    begin = end;
  }
  const auto bits = hn::GetLane(hn::MaxOfLanes(di, largest));
  return hn::GetLane(hn::BitCast(d, hn::Set(di, bits)));
}

template <Format F, class Write>
HWY_INLINE float round_chosen(const void* from, std::size_t count, const GridRounding& rounding,
                              const Write& write) {
  const bool scaled = rounding.scale != 1;
  if (rounding.at_random) {
    if (scaled) return round_all<F, true, true>(from, count, rounding, write);
    return round_all<F, false, true>(from, count, rounding, write);
  }
  if (scaled) return round_all<F, true, false>(from, count, rounding, write);
  return round_all<F, false, false>(from, count, rounding, write);
}

inline float round_to_grid(ConstSpan from, Span to, std::size_t count,
                           const GridRounding& rounding) {
  return with_format(from.format, [&](auto source) HWY_ATTR {
    return with_format(to.format, [&](auto target) HWY_ATTR {
      const bool scaled = rounding.inv_scale != 1;
      return round_chosen<source()>(from.data, count, rounding,
                                    [&](std::size_t i, std::size_t rest, Vector x) HWY_ATTR {
                                      if (scaled)
                                        x = hn::Mul(x, hn::Set(Floats(), rounding.inv_scale));
                                      store_as<target()>(x, Floats(), to.data, i, rest);
                                    });
    });
  });
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
