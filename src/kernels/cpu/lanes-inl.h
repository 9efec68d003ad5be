// Vectors of fp32 numbers: from and to memory of any format, and their rounding.
#if defined(AMP_KERNELS_CPU_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_LANES_INL_H_
#undef AMP_KERNELS_CPU_LANES_INL_H_
#else
#define AMP_KERNELS_CPU_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "src/kernels/half.h"
#include "src/kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;
constexpr std::size_t kLanes = hn::MaxLanes(Floats());

template <class D>
using Unsigned = hn::RebindToUnsigned<D>;
template <class D>
using Codes = hn::Rebind<std::uint16_t, D>;  // as many fp16 or bf16 numbers

// Calls run with the format as a type, so that loops are compiled for each.
template <class Run>
HWY_INLINE auto with_format(Format format, const Run& run) {
  if (format == Format::fp32) return run(std::integral_constant<Format, Format::fp32>());
  if (format == Format::fp16) return run(std::integral_constant<Format, Format::fp16>());
  return run(std::integral_constant<Format, Format::bf16>());
}

// The first `count` lanes; zeros in those that memory does not have.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> load(D d, const T* from, std::size_t count) {
  if (HWY_LIKELY(count >= hn::Lanes(d))) return hn::LoadU(d, from);
  HWY_ALIGN T part[hn::MaxLanes(d)] = {};
  std::memcpy(part, from, count * sizeof(T));
  return hn::Load(d, part);
}

template <class D, class T = hn::TFromD<D>>
HWY_INLINE void store(hn::Vec<D> v, D d, T* to, std::size_t count) {
  if (HWY_LIKELY(count >= hn::Lanes(d))) return hn::StoreU(v, d, to);
  HWY_ALIGN T part[hn::MaxLanes(d)];
  hn::Store(v, d, part);
  std::memcpy(to, part, count * sizeof(T));
}

template <Format F, class D>
HWY_INLINE hn::Vec<D> widen(D d, hn::Vec<Codes<D>> codes) {
  if constexpr (F == Format::bf16) {
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(Unsigned<D>(), codes)));
  } else {
#if HWY_TARGET == HWY_SCALAR
    return hn::Set(d, float_from_half(hn::GetLane(codes)));
#else
    return hn::PromoteTo(d, hn::BitCast(hn::Rebind<hwy::float16_t, D>(), codes));
#endif
  }
}

// To nearest even, overflow to Inf. IsNaN because Highway 1.0's Ne is false where one is NaN.
template <Format F, class D>
HWY_INLINE hn::Vec<Codes<D>> narrow([[maybe_unused]] D d, hn::Vec<D> x) {
  const Codes<D> codes;
  if constexpr (F == Format::bf16) {
    const Unsigned<D> du;
    const auto bits = hn::BitCast(du, x);
    const auto upper = hn::ShiftRight<16>(bits);
    const auto odd = hn::And(upper, hn::Set(du, 1));
    const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(du, 0x7FFF)), odd));
    const auto nan = hn::Or(hn::And(upper, hn::Set(du, 0x8000)), hn::Set(du, 0x7FC0));
    const auto is_nan = hn::RebindMask(du, hn::IsNaN(x));
    return hn::TruncateTo(codes, hn::IfThenElse(is_nan, nan, rounded));
  } else {
#if HWY_TARGET == HWY_SCALAR
    return hn::Set(codes, half_from_float(hn::GetLane(x)));
#else
    return hn::BitCast(codes, hn::DemoteTo(hn::Rebind<hwy::float16_t, D>(), x));
#endif
  }
}

template <Format F, class D>
HWY_INLINE hn::Vec<D> load_as(D d, const void* from, std::size_t i, std::size_t count) {
  if constexpr (F == Format::fp32)
    return load(d, static_cast<const float*>(from) + i, count);
  else
    return widen<F>(d, load(Codes<D>(), static_cast<const std::uint16_t*>(from) + i, count));
}

template <Format F, class D>
HWY_INLINE void store_as(hn::Vec<D> x, D d, void* to, std::size_t i, std::size_t count) {
  if constexpr (F == Format::fp32)
    store(x, d, static_cast<float*>(to) + i, count);
  else
    store(narrow<F>(d, x), Codes<D>(), static_cast<std::uint16_t*>(to) + i, count);
}

// |x| as bits: from 0x7F800000 on Inf or NaN.
template <class D>
HWY_INLINE hn::Vec<hn::RebindToSigned<D>> magnitude(D, hn::Vec<D> x) {
  const hn::RebindToSigned<D> di;
  return hn::And(hn::BitCast(di, x), hn::Set(di, 0x7FFFFFFF));
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
