// Codes of 8 bits: a sign, an exponent and a mantissa, as a grid has them.
#if defined(AMP_KERNELS_CPU_FP8_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_FP8_INL_H_
#undef AMP_KERNELS_CPU_FP8_INL_H_
#else
#define AMP_KERNELS_CPU_FP8_INL_H_
#endif

#include "src/kernels/cpu/grid-inl.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

using Bytes = hn::Rebind<std::uint8_t, Floats>;

// The codes from which on a magnitude is Inf, if there is one, and NaN.
HWY_INLINE std::int32_t inf_code(const Grid& grid) { return 0x80 - (1 << grid.mantissa_bits); }
// What the exponent's field has more in fp32, in the place of the code's exponent.
HWY_INLINE std::int32_t rebias(const Grid& grid) {
  return (126 + grid.min_exponent) << grid.mantissa_bits;
}

inline float encode_8(ConstSpan from, std::uint8_t* to, std::size_t count,
                      const GridRounding& rounding) {
  return with_format(from.format, [&](auto source) HWY_ATTR {
    const Floats d;
    const Integers di;
    const GridBits bits(rounding.grid);
    const float to_steps = 1 / bits.min_subnormal;
    const auto write = [&](std::size_t i, std::size_t rest, Vector x) HWY_ATTR {
      const auto size = magnitude(d, x);
      const auto is_small = hn::Lt(size, hn::Set(di, bits.min_normal));
      const auto tiny = hn::BitCast(d, hn::IfThenElseZero(is_small, size));
      const auto small = hn::ConvertTo(di, hn::Mul(tiny, hn::Set(d, to_steps)));
      const auto normal =
          hn::Sub(hn::ShiftRightSame(size, bits.dropped), hn::Set(di, rebias(rounding.grid)));
      auto code = hn::IfThenElse(is_small, small, normal);
      code = hn::IfThenElse(hn::Eq(size, hn::Set(di, 0x7F800000)),
                            hn::Set(di, inf_code(rounding.grid)), code);
      code = hn::IfThenElse(hn::Gt(size, hn::Set(di, 0x7F800000)), hn::Set(di, 0x7F), code);
      const Unsigned<Floats> du;
      const auto sign = hn::And(hn::ShiftRight<24>(hn::BitCast(du, x)), hn::Set(du, 0x80));
      const auto bytes = hn::TruncateTo(Bytes(), hn::Or(hn::BitCast(du, code), sign));
      store(bytes, Bytes(), to + i, rest);
    };
    return round_chosen<source()>(from.data, count, rounding, write);
  });
}

inline void decode_8(const std::uint8_t* from, float* to, std::size_t count, const Grid& grid,
                     float inv_scale) {
  const Floats d;
  const Integers di;
  const Unsigned<Floats> du;
  const GridBits bits(grid);
  for (std::size_t i = 0; i < count; i += kLanes) {
    const auto code = hn::PromoteTo(du, load(Bytes(), from + i, count - i));
    const auto size = hn::BitCast(di, hn::And(code, hn::Set(du, 0x7F)));
    const auto sign = hn::ShiftLeft<24>(hn::And(code, hn::Set(du, 0x80)));
    const auto small = hn::Mul(hn::ConvertTo(d, size), hn::Set(d, bits.min_subnormal));
    const auto rebased = hn::Add(size, hn::Set(di, rebias(grid)));
    const auto normal = hn::ShiftLeftSame(rebased, bits.dropped);
    const auto is_small = hn::Lt(size, hn::Set(di, 1 << grid.mantissa_bits));
    auto number = hn::IfThenElse(is_small, hn::BitCast(di, small), normal);
    const auto last = hn::Set(di, grid.has_inf ? inf_code(grid) : 0x7E);
    number = hn::IfThenElse(hn::Gt(size, last), hn::Set(di, 0x7FC00000), number);
    if (grid.has_inf) number = hn::IfThenElse(hn::Eq(size, last), hn::Set(di, 0x7F800000), number);
    const auto signed_number = hn::BitCast(d, hn::Or(hn::BitCast(du, number), sign));
    store(hn::Mul(signed_number, hn::Set(d, inv_scale)), d, to + i, count - i);
  }
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
