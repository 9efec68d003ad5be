// Stochastic gradient descent with momentum, as torch.optim.SGD (2.11) computes it.
#if defined(AMP_KERNELS_CPU_SGD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_SGD_INL_H_
#undef AMP_KERNELS_CPU_SGD_INL_H_
#else
#define AMP_KERNELS_CPU_SGD_INL_H_
#endif

#include "src/kernels/cpu/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

// Every product and sum is rounded to fp32, none fused: the same bits on every target.
HWY_INLINE void sgd_block(const Sgd& sgd, std::size_t size, const float* gradient, float* weights,
                          float* buffer) {
  const Floats d;
  const auto lr = hn::Set(d, sgd.lr), momentum = hn::Set(d, sgd.momentum);
  const auto decay = hn::Set(d, sgd.weight_decay);
  const auto taken = hn::Set(d, static_cast<float>(1.0 - double{sgd.dampening}));
  const auto sign = sgd.maximize ? hn::SignBit(d) : hn::Zero(d);
  for (std::size_t i = 0; i < size; i += kLanes) {
    const std::size_t count = size - i;
    const auto w = load(d, weights + i, count);
    auto step = hn::Xor(load(d, gradient + i, count), sign);
    if (sgd.weight_decay != 0) step = hn::Add(step, hn::Mul(decay, w));
    if (buffer != nullptr) {
      auto average = step;
      if (!sgd.first_step) {
        average = hn::Add(hn::Mul(load(d, buffer + i, count), momentum), hn::Mul(taken, step));
      }
      store(average, d, buffer + i, count);
      step = sgd.nesterov ? hn::Add(step, hn::Mul(momentum, average)) : average;
    }
    store(hn::Sub(w, hn::Mul(lr, step)), d, weights + i, count);
  }
}

inline void sgd(const Sgd& rule, const Gradient& gradient, const Weights& weights, Moment buffer,
                const Noise& noise, std::size_t count) {
  Room room;
  for (Block block(count); block.size > 0; block.next()) {
    const float* g = usable(gradient, block, room.gradient);
    float* w = load_weights(weights, block, room.weights);
    float* b = buffer.data != nullptr ? in_fp32(buffer, block, room.first) : nullptr;
    sgd_block(rule, block.size, g, w, b);
    store_weights(w, weights, noise, block, room.random);
    if (b != nullptr) store_moment(b, buffer, noise, Stream::first, block, room.random);
  }
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
