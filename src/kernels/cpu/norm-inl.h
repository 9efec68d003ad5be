// The sums over rows that a layer norm's weight and bias get as gradients.
#if defined(AMP_KERNELS_CPU_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_NORM_INL_H_
#undef AMP_KERNELS_CPU_NORM_INL_H_
#else
#define AMP_KERNELS_CPU_NORM_INL_H_
#endif

#include "src/kernels/cpu/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

inline void norm_sums(ConstSpan gradient, ConstSpan input, const float* mean, const float* rstd,
                      std::size_t rows, std::size_t width, float* weight, float* bias) {
  with_format(gradient.format, [&](auto format) HWY_ATTR {
    const Floats d;
    for (std::size_t j = 0; j < width; j += kLanes) {
      const std::size_t count = width - j;
      auto of_weight = hn::Zero(d), of_bias = hn::Zero(d);
      for (std::size_t i = 0; i < rows; ++i) {
        const std::size_t place = i * width + j;
        const auto g = load_as<format()>(d, gradient.data, place, count);
        const auto x = load_as<format()>(d, input.data, place, count);
        const auto normal = hn::Mul(hn::Sub(x, hn::Set(d, mean[i])), hn::Set(d, rstd[i]));
        of_weight = hn::Add(of_weight, hn::Mul(g, normal));
        of_bias = hn::Add(of_bias, g);
      }
      if (weight != nullptr)
        store(hn::Add(load(d, weight + j, count), of_weight), d, weight + j, count);
      if (bias != nullptr) store(hn::Add(load(d, bias + j, count), of_bias), d, bias + j, count);
    }
  });
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
