// Adam and AdamW: the kernel's constants, and the same arithmetic by ATen.
#include <ATen/TensorOperators.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/pow.h>

#include <cmath>

#include "src/optim/algorithm.h"

namespace amp::optim {
namespace {

template <typename Options>
class AdamAlgorithm final : public AlgorithmOf<Options> {
  static constexpr bool kDecoupled = std::is_same_v<Options, AdamWOptions>;
  using AlgorithmOf<Options>::of;

 public:
  Buffers buffers(const OptimizerOptions& options) const override {
    return {.first = true, .second = true, .largest = of(options).amsgrad};
  }

  void clear() override { constants_.clear(); }

  void add(const OptimizerOptions& options, const Counters& now) override {
    const auto& o = of(options);
    const auto t = static_cast<double>(now.steps);
    const double step_size = o.lr / (1 - std::pow(o.betas[0], t));
    const double correction2 = 1 - std::pow(o.betas[1], t);
    constants_.push_back({.beta1 = static_cast<float>(o.betas[0]),
                          .beta2 = static_cast<float>(o.betas[1]),
                          .eps = static_cast<float>(o.eps),
                          .one_minus_beta1 = static_cast<float>(1 - o.betas[0]),
                          .one_minus_beta2 = static_cast<float>(1 - o.betas[1]),
                          .l2 = static_cast<float>(kDecoupled ? 0 : o.weight_decay),
                          .decay = static_cast<float>(kDecoupled ? 1 - o.lr * o.weight_decay : 1),
                          .step_size = static_cast<float>(step_size),
                          .sqrt_correction2 = static_cast<float>(std::sqrt(correction2)),
                          .maximize = o.maximize});
  }

  void run(const std::vector<tensor_lists::Operands>& list,
           const tensor_lists::ChunkList& chunks) override {
    const auto& table = kernels::table();
    chunks.run([&](std::size_t i) {
      const auto& chunk = chunks[i];
      const auto o = list[chunk.tensor].from(chunk.first);
      table.adam(constants_[chunk.tensor], o.gradient, o.weights, o.first, o.second, o.largest,
                 o.noise, chunk.count);
    });
  }

  void update(const OptimizerOptions& options, TensorOperands& t) const override {
    const auto& o = of(options);
    auto g = o.maximize ? -t.gradient : t.gradient;
    if (!kDecoupled && o.weight_decay != 0) g = g.add(t.weight, o.weight_decay);
    t.first = t.first.lerp(g, 1 - o.betas[0]);
    t.second = t.second.mul(o.betas[1]).addcmul(g, g, 1 - o.betas[1]);
    if (o.amsgrad) t.largest = at::maximum(t.largest, t.second);
    const auto& v = o.amsgrad ? t.largest : t.second;
    const auto step_size = o.lr / (1 - at::pow(o.betas[0], t.step));
    const auto sqrt_correction2 = (1 - at::pow(o.betas[1], t.step)).sqrt();
    const auto divisor = v.sqrt().div(sqrt_correction2).add(o.eps);
    const auto weight =
        kDecoupled && o.weight_decay != 0 ? t.weight.mul(1 - o.lr * o.weight_decay) : t.weight;
    t.weight = weight - t.first.mul(step_size).div(divisor);
  }

  bool takes_lists(const OptimizerOptions&) const override { return true; }

  void update_lists(const OptimizerOptions& options, TensorLists& t) const override {
    const auto& o = of(options);
    const auto run = [&](auto&& op) {
      op(t.weights, t.gradients, t.first, t.second, t.largest, t.steps, o.lr, o.betas[0],
         o.betas[1], o.weight_decay, o.eps, o.amsgrad, o.maximize, std::optional<at::Tensor>(),
         t.found_inf);
    };
    if constexpr (kDecoupled) {
      run([](auto&&... arguments) { at::_fused_adamw_(arguments...); });
    } else {
      run([](auto&&... arguments) { at::_fused_adam_(arguments...); });
    }
  }

 private:
  std::vector<kernels::Adam> constants_;
};

}  // namespace

std::unique_ptr<Algorithm> algorithm_for(const AdamOptions&) {
  return std::make_unique<AdamAlgorithm<AdamOptions>>();
}
std::unique_ptr<Algorithm> algorithm_for(const AdamWOptions&) {
  return std::make_unique<AdamAlgorithm<AdamWOptions>>();
}

}  // namespace amp::optim
