// LAMB in two passes: the moments with the norms, then the weights.
#if defined(AMP_KERNELS_CPU_LAMB_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_LAMB_INL_H_
#undef AMP_KERNELS_CPU_LAMB_INL_H_
#else
#define AMP_KERNELS_CPU_LAMB_INL_H_
#endif

#include "src/kernels/cpu/adam-inl.h"
#include "src/kernels/cpu/sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

HWY_INLINE void lamb_moments_block(const Lamb& lamb, std::size_t size, const float* gradient,
                                   float* first, float* second) {
  const Floats d;
  const FirstMoment next_first(lamb.beta1, lamb.one_minus_beta1);
  const SecondMoment next_second(lamb.beta2, lamb.one_minus_beta2);
  const auto sign = lamb.maximize ? hn::SignBit(d) : hn::Zero(d);
  for (std::size_t i = 0; i < size; i += kLanes) {
    const std::size_t count = size - i;
    const auto g = hn::Xor(load(d, gradient + i, count), sign);
    store(next_first(load(d, first + i, count), g), d, first + i, count);
    store(next_second(load(d, second + i, count), g), d, second + i, count);
  }
}

// u = (m / correction1) / (sqrt(v / correction2) + eps) + weight_decay w
HWY_INLINE void lamb_update_block(const Lamb& lamb, std::size_t size, const float* weights,
                                  const float* first, const float* second, float* update) {
  const Floats d;
  const auto correction1 = hn::Set(d, lamb.correction1);
  const auto correction2 = hn::Set(d, lamb.correction2);
  const auto eps = hn::Set(d, lamb.eps), decay = hn::Set(d, lamb.weight_decay);
  for (std::size_t i = 0; i < size; i += kLanes) {
    const std::size_t count = size - i;
    const auto m = load(d, first + i, count), v = load(d, second + i, count);
    const auto divisor = hn::Add(hn::Sqrt(hn::Div(v, correction2)), eps);
    auto u = hn::Div(hn::Div(m, correction1), divisor);
    if (lamb.weight_decay != 0) u = hn::Add(u, hn::Mul(decay, load(d, weights + i, count)));
    store(u, d, update + i, count);
  }
}

// The norm is that of the update which lamb_apply will take: from the moments as they are stored.
inline LambNorms lamb_moments(const Lamb& lamb, const Gradient& gradient, const Weights& weights,
                              Moment first, Moment second, const Noise& noise, std::size_t count) {
  Room room;
  SumOfSquares weight_squares, update_squares;
  for (Block block(count); block.size > 0; block.next()) {
    const float* g = usable(gradient, block, room.gradient);
    float* m = in_fp32(first, block, room.first);
    float* v = in_fp32(second, block, room.second);
    lamb_moments_block(lamb, block.size, g, m, v);
    store_moment(m, first, noise, Stream::first, block, room.random);
    store_moment(v, second, noise, Stream::second, block, room.random);
    m = in_fp32(first, block, room.first);
    v = in_fp32(second, block, room.second);
    const float* w = load_weights(weights, block, room.weights);
    float* update = room.gradient;
    lamb_update_block(lamb, block.size, w, m, v, update);
    weight_squares.add<Format::fp32>(w, block.size, 1);
    update_squares.add<Format::fp32>(update, block.size, 1);
  }
  return {weight_squares.total(), update_squares.total()};
}

inline void lamb_apply(const Lamb& lamb, float rate, const Weights& weights, ConstSpan first,
                       ConstSpan second, const Noise& noise, std::size_t count) {
  Room room;
  const Floats d;
  for (Block block(count); block.size > 0; block.next()) {
    const float* m = in_fp32(first, block, room.first);
    const float* v = in_fp32(second, block, room.second);
    float* w = load_weights(weights, block, room.weights);
    lamb_update_block(lamb, block.size, w, m, v, room.gradient);
    for (std::size_t i = 0; i < block.size; i += kLanes) {
      const std::size_t left = block.size - i;
      const auto step = hn::Mul(hn::Set(d, rate), load(d, room.gradient + i, left));
      store(hn::Sub(load(d, w + i, left), step), d, w + i, left);
    }
    store_weights(w, weights, noise, block, room.random);
  }
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
