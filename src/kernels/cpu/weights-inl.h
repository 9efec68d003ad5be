// A block of weights and of moments: how each form is read as fp32 and written back.
#if defined(AMP_KERNELS_CPU_WEIGHTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_WEIGHTS_INL_H_
#undef AMP_KERNELS_CPU_WEIGHTS_INL_H_
#else
#define AMP_KERNELS_CPU_WEIGHTS_INL_H_
#endif

#include "src/kernels/cpu/blocks-inl.h"
#include "src/kernels/cpu/noise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

// Room for a block of everything that may have to be copied.
struct Room {
  alignas(64) float gradient[kBlock], weights[kBlock], first[kBlock], second[kBlock],
      largest[kBlock];
  alignas(64) std::uint16_t random[kRandom];
};

// Somebody may have written another weight than the one that left `extra`. What rounding leaves is half
// a unit in the last place at most, so that half of it goes away in rounding; of more nothing is kept.
template <Format F>
HWY_INLINE void join_kahan(const Weights& from, const Block& block, float* to) {
  const Floats d;
  for (std::size_t i = 0; i < block.size; i += kLanes) {
    const std::size_t count = block.size - i;
    const auto low = load_as<F>(d, from.low, block.begin + i, count);
    const auto extra = load_as<F>(d, from.extra, block.begin + i, count);
    const auto half = hn::Add(low, hn::Mul(extra, hn::Set(d, 0.5F)));
    const auto is_its_own = hn::Eq(widen<F>(d, narrow<F>(d, half)), low);
    store(hn::Add(low, hn::IfThenElseZero(is_its_own, extra)), d, to + i, count);
  }
}

// What rounding leaves is exact in fp32 and rounded once more. A weight that became Inf leaves
// nothing: Inf - Inf would make it NaN.
template <Format F>
HWY_INLINE void part_kahan(const float* from, const Weights& to, const Block& block) {
  const Floats d;
  for (std::size_t i = 0; i < block.size; i += kLanes) {
    const std::size_t count = block.size - i;
    const auto weight = load(d, from + i, count);
    const auto low = narrow<F>(d, weight);
    const auto rounded = widen<F>(d, low);
    const auto finite =
        hn::Lt(magnitude(d, rounded), hn::Set(hn::RebindToSigned<Floats>(), 0x7F800000));
    const auto rest = hn::IfThenElseZero(hn::RebindMask(d, finite), hn::Sub(weight, rounded));
    store(low, Codes<Floats>(), to.low + block.begin + i, count);
    store_as<F>(rest, d, to.extra, block.begin + i, count);
  }
}

// After somebody wrote another weight the part of the old one changes it by half a unit in the last
// place at most, but for zero, below which integers go on as NaN, and Inf, above which they do.
HWY_INLINE void join_halves(const Weights& from, const Block& block, float* to) {
  const Unsigned<Floats> du;
  const hn::RebindToSigned<Floats> di;
  const auto zero = hn::Zero(di), inf = hn::Set(di, 0x7F800000);
  for (std::size_t i = 0; i < block.size; i += kLanes) {
    const std::size_t count = block.size - i;
    const auto low = load(Codes<Floats>(), from.low + block.begin + i, count);
    const auto extra = load(Codes<Floats>(), from.extra + block.begin + i, count);
    const auto upper = hn::ShiftLeft<16>(hn::PromoteTo(du, low));
    const auto size = magnitude(Floats(), hn::BitCast(Floats(), upper));
    auto rest = hn::PromoteTo(di, hn::BitCast(hn::RebindToSigned<Codes<Floats>>(), extra));
    rest = hn::IfThenElse(hn::Eq(size, zero), hn::Max(rest, zero), rest);
    rest = hn::IfThenElse(hn::Eq(size, inf), hn::Min(rest, zero), rest);
    const auto bits = hn::Add(upper, hn::BitCast(du, rest));
    store(hn::BitCast(Floats(), bits), Floats(), to + i, count);
  }
}

// A NaN is made the usual one: half of those with long payloads would have a low part of -0.
HWY_INLINE void part_halves(const float* from, const Weights& to, const Block& block) {
  const Floats d;
  const Unsigned<Floats> du;
  const Codes<Floats> codes;
  for (std::size_t i = 0; i < block.size; i += kLanes) {
    const std::size_t count = block.size - i;
    const auto weight = load(d, from + i, count);
    const auto is_nan = hn::RebindMask(du, hn::IsNaN(weight));
    const auto bits = hn::IfThenElse(is_nan, hn::Set(du, 0x7FC00000), hn::BitCast(du, weight));
    const auto upper = hn::ShiftRight<16>(hn::Add(bits, hn::Set(du, 0x8000)));
    store(hn::TruncateTo(codes, upper), codes, to.low + block.begin + i, count);
    store(hn::TruncateTo(codes, bits), codes, to.extra + block.begin + i, count);
  }
}

inline float* load_weights(const Weights& weights, const Block& block, float* room) {
  switch (weights.form) {
    case WeightForm::fp32:
      return weights.fp32 + block.begin;
    case WeightForm::nearest:
    case WeightForm::stochastic:
      widen({weights.low, weights.low_format}, block, room);
      break;
    case WeightForm::kahan:
      if (weights.low_format == Format::fp16)
        join_kahan<Format::fp16>(weights, block, room);
      else
        join_kahan<Format::bf16>(weights, block, room);
      break;
    case WeightForm::split:
      join_halves(weights, block, room);
      break;
  }
  return room;
}

inline void store_weights(const float* values, const Weights& weights, const Noise& noise,
                          const Block& block, std::uint16_t* room) {
  const Span low{weights.low, weights.low_format};
  switch (weights.form) {
    case WeightForm::fp32:
      if (weights.low != nullptr) narrow(values, low, block);
      break;
    case WeightForm::nearest:
      narrow(values, low, block);
      break;
    case WeightForm::stochastic:
      narrow_at_random(values, low, block, random_bits(noise, Stream::weights, block, room));
      break;
    case WeightForm::kahan:
      if (weights.low_format == Format::fp16)
        part_kahan<Format::fp16>(values, weights, block);
      else
        part_kahan<Format::bf16>(values, weights, block);
      break;
    case WeightForm::split:
      part_halves(values, weights, block);
      break;
  }
}

// fp32 moments were updated where they are.
inline void store_moment(const float* values, Moment moment, const Noise& noise, Stream stream,
                         const Block& block, std::uint16_t* room) {
  if (moment.format == Format::fp32) return;
  narrow_at_random(values, moment, block, random_bits(noise, stream, block, room));
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
