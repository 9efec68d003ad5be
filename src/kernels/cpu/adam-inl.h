// Adam and AdamW, as torch.optim (2.11) computes them, and the moments that LAMB shares.
#if defined(AMP_KERNELS_CPU_ADAM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_ADAM_INL_H_
#undef AMP_KERNELS_CPU_ADAM_INL_H_
#else
#define AMP_KERNELS_CPU_ADAM_INL_H_
#endif

#include "src/kernels/cpu/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

// m += (g - m)(1 - beta1), from g's side where that is the nearer one (torch.lerp):
// g - (g - m) beta1. So beta1 = 0 gives g exactly.
class FirstMoment {
 public:
  FirstMoment(float beta1, float one_minus_beta1)
      : from_moment_(one_minus_beta1 < 0.5f),
        factor_(hn::Set(Floats(), from_moment_ ? one_minus_beta1 : beta1)) {}

  HWY_INLINE Vector operator()(Vector m, Vector g) const {
    const auto part = hn::Mul(factor_, hn::Sub(g, m));
    return from_moment_ ? hn::Add(m, part) : hn::Sub(g, part);
  }

 private:
  bool from_moment_;
  Vector factor_;
};

// v = v beta2 + ((1 - beta2) g) g.
class SecondMoment {
 public:
  SecondMoment(float beta2, float one_minus_beta2)
      : beta2_(hn::Set(Floats(), beta2)), taken_(hn::Set(Floats(), one_minus_beta2)) {}

  HWY_INLINE Vector operator()(Vector v, Vector g) const {
    return hn::Add(hn::Mul(v, beta2_), hn::Mul(hn::Mul(taken_, g), g));
  }

 private:
  Vector beta2_, taken_;
};

// A NaN in either stays.
HWY_INLINE Vector larger(Vector a, Vector b) {
  return hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, b);
}

HWY_INLINE void adam_block(const Adam& adam, std::size_t size, const float* gradient,
                           float* weights, float* first, float* second, float* largest) {
  const Floats d;
  const FirstMoment next_first(adam.beta1, adam.one_minus_beta1);
  const SecondMoment next_second(adam.beta2, adam.one_minus_beta2);
  const auto l2 = hn::Set(d, adam.l2), decay = hn::Set(d, adam.decay);
  const auto correction = hn::Set(d, adam.sqrt_correction2), eps = hn::Set(d, adam.eps);
  const auto step_size = hn::Set(d, adam.step_size);
  const auto sign = adam.maximize ? hn::SignBit(d) : hn::Zero(d);
  for (std::size_t i = 0; i < size; i += kLanes) {
    const std::size_t count = size - i;
    const auto w = load(d, weights + i, count);
    auto g = hn::Xor(load(d, gradient + i, count), sign);
    if (adam.l2 != 0) g = hn::Add(g, hn::Mul(l2, w));
    const auto m = next_first(load(d, first + i, count), g);
    auto v = next_second(load(d, second + i, count), g);
    store(m, d, first + i, count);
    store(v, d, second + i, count);
    if (largest != nullptr) {
      v = larger(load(d, largest + i, count), v);
      store(v, d, largest + i, count);
    }
    const auto divisor = hn::Add(hn::Div(hn::Sqrt(v), correction), eps);
    const auto step = hn::Div(hn::Mul(step_size, m), divisor);
    store(hn::Sub(hn::Mul(w, decay), step), d, weights + i, count);
  }
}

inline void adam(const Adam& rule, const Gradient& gradient, const Weights& weights, Moment first,
                 Moment second, Moment largest, const Noise& noise, std::size_t count) {
  Room room;
  for (Block block(count); block.size > 0; block.next()) {
    const float* g = usable(gradient, block, room.gradient);
    float* w = load_weights(weights, block, room.weights);
    float* m = in_fp32(first, block, room.first);
    float* v = in_fp32(second, block, room.second);
    float* top = largest.data != nullptr ? in_fp32(largest, block, room.largest) : nullptr;
    adam_block(rule, block.size, g, w, m, v, top);
    store_weights(w, weights, noise, block, room.random);
    store_moment(m, first, noise, Stream::first, block, room.random);
    store_moment(v, second, noise, Stream::second, block, room.random);
    if (top != nullptr) store_moment(top, largest, noise, Stream::largest, block, room.random);
  }
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
