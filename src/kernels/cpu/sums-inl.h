// Sums of squares in double, the same on every target, and what is not finite.
#if defined(AMP_KERNELS_CPU_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_SUMS_INL_H_
#undef AMP_KERNELS_CPU_SUMS_INL_H_
#else
#define AMP_KERNELS_CPU_SUMS_INL_H_
#endif

#include "src/kernels/cpu/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

// Element i of an array belongs to partial sum i mod 32, on every target: enough vectors to keep
// the adders busy, and a sum that does not depend on their width. Squares of fp32 numbers are exact
// in double.
class SumOfSquares {
 public:
  // values * factor in fp32. Call it with multiples of 32 elements, but for the last time.
  template <Format F>
  void add(const void* values, std::size_t size, float factor) {
    Sums sums[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) sums[v] = hn::Load(kDoubles, partial_ + v * kWidth);
    auto largest = hn::Set(kBits, largest_);
    std::size_t i = 0;
    for (; i + kPartial <= size; i += kPartial) {
      for (std::size_t v = 0; v < kVectors; ++v) {
        add_vector<F>(values, i + v * kWidth, kWidth, factor, sums[v], largest);
      }
    }
    for (std::size_t v = 0; i < size; ++v, i += kWidth) {
      add_vector<F>(values, i, size - i, factor, sums[v], largest);
    }
    for (std::size_t v = 0; v < kVectors; ++v) hn::Store(sums[v], kDoubles, partial_ + v * kWidth);
    largest_ = hn::GetLane(hn::MaxOfLanes(kBits, largest));
  }

  // Pairs of partial sums, then pairs of those.
  double total() const {
    double sums[kPartial];
    std::copy(partial_, partial_ + kPartial, sums);
    for (std::size_t half = kPartial / 2; half > 0; half /= 2) {
      for (std::size_t j = 0; j < half; ++j) sums[j] += sums[j + half];
    }
    return sums[0];
  }

  bool non_finite() const { return largest_ >= 0x7F800000; }

 private:
  static constexpr hn::ScalableTag<double> kDoubles{};
  static constexpr hn::Rebind<float, hn::ScalableTag<double>> kFloats{};
  static constexpr hn::RebindToSigned<hn::Rebind<float, hn::ScalableTag<double>>> kBits{};
  using Sums = hn::Vec<hn::ScalableTag<double>>;
  using Bits = hn::Vec<hn::RebindToSigned<hn::Rebind<float, hn::ScalableTag<double>>>>;
  static constexpr std::size_t kPartial = 32, kWidth = hn::MaxLanes(kDoubles);
  static constexpr std::size_t kVectors = kPartial / kWidth;

  template <Format F>
  static HWY_INLINE void add_vector(const void* values, std::size_t i, std::size_t count,
                                    float factor, Sums& sum, Bits& largest) {
    const auto product = hn::Mul(load_as<F>(kFloats, values, i, count), hn::Set(kFloats, factor));
    const auto wide = hn::PromoteTo(kDoubles, product);
    sum = hn::MulAdd(wide, wide, sum);
    largest = hn::Max(largest, magnitude(kFloats, product));
  }

  alignas(64) double partial_[kPartial] = {};
  std::int32_t largest_ = 0;  // of the products' magnitudes as bits
};

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
