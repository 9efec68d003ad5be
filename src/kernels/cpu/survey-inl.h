// What numbers are and what a grid would lose of them, counted in one pass.
#if defined(AMP_KERNELS_CPU_SURVEY_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_SURVEY_INL_H_
#undef AMP_KERNELS_CPU_SURVEY_INL_H_
#else
#define AMP_KERNELS_CPU_SURVEY_INL_H_
#endif

#include "src/kernels/cpu/grid-inl.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

// Counts lanes in 32 bits; `total` has to come before they are full.
class LaneCounter {
 public:
  HWY_INLINE LaneCounter() : lanes_(hn::Zero(Integers())) {}
  HWY_INLINE void add(hn::Mask<Integers> where) {
    lanes_ = hn::Sub(lanes_, hn::VecFromMask(Integers(), where));
  }
  HWY_INLINE std::int64_t total() const {
    return std::int64_t{hn::GetLane(hn::SumOfLanes(Integers(), lanes_))};
  }

 private:
  Bits lanes_;
};

// At most 2^30 numbers.
template <Format F>
HWY_INLINE void survey_part(const void* values, std::size_t begin, std::size_t end,
                            const GridBits& limits, float scale, Survey& found) {
  const Floats d;
  const Integers di;
  LaneCounter zeros, not_finite, nans, beyond, flushed, below_normal;
  auto largest = hn::Set(di, magnitude_bits(found.amax));
  std::size_t padding = 0;  // zeros that memory does not have, in the last vector
  for (std::size_t i = begin; i < end; i += kLanes) {
    if (end - i < kLanes) padding = kLanes - (end - i);
    const auto x = load_as<F>(d, values, i, end - i);
    const auto size = magnitude(d, x);
    const auto scaled = magnitude(d, hn::Mul(x, hn::Set(d, scale)));
    const auto is_finite = hn::Lt(size, hn::Set(di, 0x7F800000));
    largest = hn::Max(largest, hn::IfThenElseZero(is_finite, size));
    zeros.add(hn::Eq(size, hn::Zero(di)));
    not_finite.add(hn::Gt(size, hn::Set(di, 0x7F7FFFFF)));
    nans.add(hn::Gt(size, hn::Set(di, 0x7F800000)));
    beyond.add(hn::Gt(scaled, hn::Set(di, limits.first_overflow - 1)));
    flushed.add(hn::Lt(scaled, hn::Set(di, limits.first_kept)));
    below_normal.add(hn::Lt(scaled, hn::Set(di, limits.first_normal)));
  }
  const auto padded = static_cast<std::int64_t>(padding);
  found.zeros += zeros.total() - padded;
  found.infs += not_finite.total() - nans.total();
  found.nans += nans.total();
  found.overflowed += beyond.total() - not_finite.total();
  found.flushed += flushed.total() - zeros.total();
  found.subnormal += below_normal.total() - flushed.total();
  const auto bits = hn::GetLane(hn::MaxOfLanes(di, largest));
  found.amax = hn::GetLane(hn::BitCast(d, hn::Set(di, bits)));
}

inline Survey survey(ConstSpan values, std::size_t count, const Grid& grid, float scale) {
  return with_format(values.format, [&](auto format) HWY_ATTR {
    constexpr std::size_t kPart = std::size_t{1} << 30;
    const GridBits limits(grid);
    Survey found;
    for (std::size_t begin = 0; begin < count; begin += kPart)
      survey_part<format()>(values.data, begin, std::min(count, begin + kPart), limits, scale,
                            found);
    return found;
  });
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
