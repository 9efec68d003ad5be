// The kernels over one or two spans: examine, scale, convert, is_rounded.
#if defined(AMP_KERNELS_CPU_MEMORY_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_MEMORY_INL_H_
#undef AMP_KERNELS_CPU_MEMORY_INL_H_
#else
#define AMP_KERNELS_CPU_MEMORY_INL_H_
#endif

#include "src/kernels/cpu/blocks-inl.h"
#include "src/kernels/cpu/sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

inline Examined examine(ConstSpan gradient, std::size_t count, float inv_scale) {
  return with_format(gradient.format, [&](auto format) HWY_ATTR {
    SumOfSquares sum;
    sum.add<format()>(gradient.data, count, inv_scale);
    return Examined{sum.total(), sum.non_finite()};
  });
}

inline bool scale(Span values, std::size_t count, float factor) {
  return with_format(values.format, [&](auto format) HWY_ATTR {
    const Floats d;
    auto largest = hn::Zero(hn::RebindToSigned<Floats>());
    for (std::size_t i = 0; i < count; i += kLanes) {
      auto x = hn::Mul(load_as<format()>(d, values.data, i, count - i), hn::Set(d, factor));
      store_as<format()>(x, d, values.data, i, count - i);
      if constexpr (format() != Format::fp32) x = widen<format()>(d, narrow<format()>(d, x));
      largest = hn::Max(largest, magnitude(d, x));
    }
    return hn::GetLane(hn::MaxOfLanes(hn::RebindToSigned<Floats>(), largest)) >= 0x7F800000;
  });
}

inline void convert(ConstSpan from, Span to, std::size_t count) {
  if (from.format == to.format) {
    if (count > 0) std::memmove(to.data, from.data, count * (to.format == Format::fp32 ? 4 : 2));
    return;
  }
  with_format(from.format, [&](auto source) HWY_ATTR {
    with_format(to.format, [&](auto target) HWY_ATTR {
      const Floats d;
      for (std::size_t i = 0; i < count; i += kLanes) {
        const auto x = load_as<source()>(d, from.data, i, count - i);
        store_as<target()>(x, d, to.data, i, count - i);
      }
    });
  });
}

// Every NaN becomes the same one.
template <Format F>
HWY_INLINE hn::Vec<Codes<Floats>> narrow_alike(Vector x) {
  const Floats d;
  const auto nan = hn::BitCast(d, hn::Set(Unsigned<Floats>(), 0x7FC00000));
  return narrow<F>(d, hn::IfThenElse(hn::IsNaN(x), nan, x));
}

// At most kCompared numbers; `alike`: NaNs are looked for.
template <Format F, bool alike>
HWY_INLINE bool is_rounded_block(const float* numbers, const std::uint16_t* rounded,
                                 std::size_t count) {
  const Floats d;
  const Codes<Floats> codes;
  auto differs = hn::Zero(codes);
  for (std::size_t i = 0; i < count; i += kLanes) {
    const auto x = load(d, numbers + i, count - i);
    const auto code = load(codes, rounded + i, count - i);
    if constexpr (alike)
      differs = hn::Or(differs, hn::Xor(narrow_alike<F>(x), narrow_alike<F>(widen<F>(d, code))));
    else
      differs = hn::Or(differs, hn::Xor(narrow<F>(d, x), code));
  }
  return hn::AllTrue(codes, hn::Eq(differs, hn::Zero(codes)));
}

// As long as nothing differs, bits are compared; NaNs are looked for only where something does.
constexpr std::size_t kCompared = 4096;

template <Format F>
inline bool is_rounded_to(const float* numbers, const std::uint16_t* rounded, std::size_t count) {
  for (std::size_t i = 0; i < count; i += kCompared) {
    const std::size_t here = std::min(kCompared, count - i);
    if (!is_rounded_block<F, false>(numbers + i, rounded + i, here) &&
        !is_rounded_block<F, true>(numbers + i, rounded + i, here))
      return false;
  }
  return true;
}

inline bool is_rounded(const float* numbers, ConstSpan rounded, std::size_t count) {
  const auto* codes = static_cast<const std::uint16_t*>(rounded.data);
  return rounded.format == Format::bf16 ? is_rounded_to<Format::bf16>(numbers, codes, count)
                                        : is_rounded_to<Format::fp16>(numbers, codes, count);
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
