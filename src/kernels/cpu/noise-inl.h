// Random bits for elements, and rounding with them.
#if defined(AMP_KERNELS_CPU_NOISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_NOISE_INL_H_
#undef AMP_KERNELS_CPU_NOISE_INL_H_
#else
#define AMP_KERNELS_CPU_NOISE_INL_H_
#endif

#include "src/kernels/cpu/blocks-inl.h"
#include "src/kernels/cpu/lanes-inl.h"
#include "src/kernels/philox.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

constexpr std::size_t kRandom = kBlock + kGroup;  // of a block that begins anywhere

#if HWY_TARGET == HWY_SCALAR

inline void random_group(Philox::Counter counter, Philox::Key key, std::uint16_t* bits) {
  for (std::uint32_t l = 0; l < kCounters; ++l, ++counter[0]) {
    const auto words = Philox::words(counter, key);
    for (std::size_t w = 0; w < words.size(); ++w) {
      bits[2 * (w * kCounters + l)] = static_cast<std::uint16_t>(words[w]);
      bits[2 * (w * kCounters + l) + 1] = static_cast<std::uint16_t>(words[w] >> 16);
    }
  }
}

#else

using Counters = hn::ScalableTag<std::uint64_t>;  // a word in the low half of each lane

// The upper halves fill with what the next multiplication ignores.
struct PhiloxState {
  hn::Vec<Counters> c0, c1, c2, c3;

  HWY_INLINE void round(hn::Vec<Counters> key0, hn::Vec<Counters> key1) {
    const hn::Repartition<std::uint32_t, Counters> d32;
    const auto product0 = hn::MulEven(hn::BitCast(d32, c0), hn::Set(d32, Philox::kMultiplier0));
    const auto product1 = hn::MulEven(hn::BitCast(d32, c2), hn::Set(d32, Philox::kMultiplier1));
    c0 = hn::Xor(hn::ShiftRight<32>(product1), hn::Xor(c1, key0));
    c2 = hn::Xor(hn::ShiftRight<32>(product0), hn::Xor(c3, key1));
    c1 = product1;
    c3 = product0;
  }
};

// Lanes of even and of odd counters, side by side in 32 bits.
HWY_INLINE void store_pairs(hn::Vec<Counters> even, hn::Vec<Counters> odd, std::uint16_t* to) {
  const Counters d;
  const hn::Repartition<std::uint16_t, Counters> d16;
  const auto low = hn::And(even, hn::Set(d, 0xFFFFFFFF));
  hn::StoreU(hn::BitCast(d16, hn::Or(low, hn::ShiftLeft<32>(odd))), d16, to);
}

inline void random_group(Philox::Counter counter, Philox::Key key, std::uint16_t* bits) {
  const Counters d;
  for (std::size_t l = 0; l < kCounters; l += 2 * hn::Lanes(d)) {
    const auto first = hn::Add(hn::Set(d, counter[0] + l), hn::ShiftLeft<1>(hn::Iota(d, 0)));
    const auto c1 = hn::Set(d, counter[1]), c2 = hn::Set(d, counter[2]),
               c3 = hn::Set(d, counter[3]);
    PhiloxState even{first, c1, c2, c3};
    PhiloxState odd{hn::Add(first, hn::Set(d, 1)), c1, c2, c3};
    std::uint32_t key0 = key[0], key1 = key[1];
    for (int round = 0; round < Philox::kRounds; ++round) {
      even.round(hn::Set(d, key0), hn::Set(d, key1));
      odd.round(hn::Set(d, key0), hn::Set(d, key1));
      key0 += Philox::kWeyl0;
      key1 += Philox::kWeyl1;
    }
    store_pairs(even.c0, odd.c0, bits + 2 * l);
    store_pairs(even.c1, odd.c1, bits + 2 * (kCounters + l));
    store_pairs(even.c2, odd.c2, bits + 2 * (2 * kCounters + l));
    store_pairs(even.c3, odd.c3, bits + 2 * (3 * kCounters + l));
  }
}

#endif

// 16 bits for each element of the block, in `room` of kRandom.
inline const std::uint16_t* random_bits(const Noise& noise, Stream stream, const Block& block,
                                        std::uint16_t* room) {
  const std::uint64_t begin = noise.first + block.begin, skipped = begin % kGroup;
  const std::uint64_t groups = (skipped + block.size + kGroup - 1) / kGroup;
  for (std::uint64_t i = 0; i < groups; ++i) {
    random_group(philox_counter(noise, stream, begin / kGroup + i, 0), philox_key(noise),
                 room + i * kGroup);
  }
  return room + skipped;
}

// x rounded to a neighbour in format F: away from zero with the probability that makes the mean
// right, for the random bits are added below the part that is kept. Beyond the largest finite
// number there is no neighbour to balance, and narrow<F> will round to nearest; Inf and NaN stay.
template <Format F>
HWY_INLINE Vector rounded_at_random(Vector x, hn::Vec<Unsigned<Floats>> random) {
  const Floats d;
  const Unsigned<Floats> du;
  const hn::RebindToSigned<Floats> di;
  const auto bits = hn::BitCast(du, x);
  const auto size = magnitude(d, x);
  if constexpr (F == Format::bf16) {
    const auto up = hn::Add(bits, random);
    const auto cut = hn::BitCast(d, hn::And(up, hn::Set(du, 0xFFFF0000)));
    const auto beyond = hn::Gt(size, hn::Set(di, 0x7F7F0000));
    return hn::IfThenElse(hn::RebindMask(d, beyond), x, cut);
  } else {
    const auto up = hn::Add(bits, hn::ShiftRight<3>(random));
    const auto cut = hn::BitCast(d, hn::And(up, hn::Set(du, 0xFFFFE000)));
    const auto beyond = hn::Gt(size, hn::Set(di, 0x477FE000));     // 65504
    const auto subnormal = hn::Lt(size, hn::Set(di, 0x38800000));  // 2^-14
    // There the step is 2^-24 throughout: in units of 2^-40.
    const auto small = hn::IfThenElseZero(hn::RebindMask(d, subnormal), hn::Abs(x));
    const auto units = hn::ConvertTo(di, hn::Mul(small, hn::Set(d, 0x1p40f)));
    const auto steps = hn::ShiftRight<16>(hn::Add(hn::BitCast(du, units), random));
    const auto stepped = hn::Mul(hn::ConvertTo(d, hn::BitCast(di, steps)), hn::Set(d, 0x1p-24f));
    const auto cut_small = hn::CopySignToAbs(stepped, x);
    return hn::IfThenElse(hn::RebindMask(d, beyond), x,
                          hn::IfThenElse(hn::RebindMask(d, subnormal), cut_small, cut));
  }
}

// Rounds `values` at random into the block of `to`, which is fp16 or bf16.
inline void narrow_at_random(const float* values, Span to, const Block& block,
                             const std::uint16_t* random) {
  const auto run = [&](auto format) HWY_ATTR {
    if constexpr (format() != Format::fp32) {
      for (std::size_t i = 0; i < block.size; i += kLanes) {
        const std::size_t count = block.size - i;
        const auto bits = load(Codes<Floats>(), random + i, count);
        const auto below = hn::PromoteTo(Unsigned<Floats>(), bits);
        const auto x = rounded_at_random<format()>(load(Floats(), values + i, count), below);
        store_as<format()>(x, Floats(), to.data, block.begin + i, count);
      }
    }
  };
  with_format(to.format, run);
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
