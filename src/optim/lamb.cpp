// Lamb: the kernels' constants, the trust ratio, and the same arithmetic by ATen.
#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/where.h>

#include <cmath>

#include "src/optim/algorithm.h"

namespace amp::optim {
namespace {

class LambAlgorithm final : public AlgorithmOf<LambOptions> {
 public:
  Buffers buffers(const OptimizerOptions&) const override {
    return {.first = true, .second = true};
  }

  void clear() override {
    constants_.clear();
    rates_.clear();
    adapts_.clear();
  }

  void add(const OptimizerOptions& options, const Counters& now) override {
    const auto& o = of(options);
    const auto t = static_cast<double>(now.steps);
    const auto correction = [&](double beta) {
      return o.bias_correction ? 1 - std::pow(beta, t) : 1;
    };
    constants_.push_back({.beta1 = static_cast<float>(o.betas[0]),
                          .beta2 = static_cast<float>(o.betas[1]),
                          .eps = static_cast<float>(o.eps),
                          .one_minus_beta1 = static_cast<float>(1 - o.betas[0]),
                          .one_minus_beta2 = static_cast<float>(1 - o.betas[1]),
                          .correction1 = static_cast<float>(correction(o.betas[0])),
                          .correction2 = static_cast<float>(correction(o.betas[1])),
                          .weight_decay = static_cast<float>(o.weight_decay),
                          .maximize = o.maximize});
    rates_.push_back(o.lr);
    adapts_.push_back(adapts(o));
  }

  void run(const std::vector<tensor_lists::Operands>& list,
           const tensor_lists::ChunkList& chunks) override {
    const auto& table = kernels::table();
    norms_.resize(chunks.size());
    chunks.run([&](std::size_t i) {
      const auto& chunk = chunks[i];
      const auto o = list[chunk.tensor].from(chunk.first);
      norms_[i] = table.lamb_moments(constants_[chunk.tensor], o.gradient, o.weights, o.first,
                                     o.second, o.noise, chunk.count);
    });
    apply_trust_ratios(list.size(), chunks);
    chunks.run([&](std::size_t i) {
      const auto& chunk = chunks[i];
      const auto o = list[chunk.tensor].from(chunk.first);
      table.lamb_apply(constants_[chunk.tensor], static_cast<float>(rates_[chunk.tensor]),
                       o.weights, {o.first.data, o.first.format}, {o.second.data, o.second.format},
                       o.noise, chunk.count);
    });
  }

  void update(const OptimizerOptions& options, TensorOperands& t) const override {
    const auto& o = of(options);
    const auto g = o.maximize ? -t.gradient : t.gradient;
    t.first = t.first.lerp(g, 1 - o.betas[0]);
    t.second = t.second.mul(o.betas[1]).addcmul(g, g, 1 - o.betas[1]);
    // The norm is that of the update which the stored moments give.
    t.first = t.stored(t.first, kernels::Stream::first);
    t.second = t.stored(t.second, kernels::Stream::second);
    auto m = t.first, v = t.second;
    if (o.bias_correction) {
      m = m / (1 - at::pow(o.betas[0], t.step));
      v = v / (1 - at::pow(o.betas[1], t.step));
    }
    auto u = m / v.sqrt().add(o.eps);
    if (o.weight_decay != 0) u = u.add(t.weight, o.weight_decay);
    if (!adapts(o)) {
      t.weight = t.weight.add(u, -o.lr);
      return;
    }
    const auto norm = at::linalg_vector_norm(t.weight), length = at::linalg_vector_norm(u);
    const auto usable = norm.gt(0).logical_and(length.gt(0));
    const auto ratio = at::where(usable, norm / length, at::ones_like(norm));
    t.weight = t.weight - u.mul(ratio.mul(o.lr));
  }

 private:
  // Apex uses no trust ratio for a tensor without weight decay, unless use_nvlamb is set.
  static bool adapts(const LambOptions& o) { return o.use_nvlamb || o.weight_decay != 0; }

  void apply_trust_ratios(std::size_t tensors, const tensor_lists::ChunkList& chunks) {
    totals_.assign(tensors, {});
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      auto& total = totals_[chunks[i].tensor];
      total.weight += norms_[i].weight;
      total.update += norms_[i].update;
    }
    for (std::size_t i = 0; i < tensors; ++i) {
      const auto& [weight, update] = totals_[i];
      if (adapts_[i] && weight > 0 && update > 0)
        rates_[i] *= std::sqrt(weight) / std::sqrt(update);
    }
  }

  std::vector<kernels::Lamb> constants_;
  std::vector<double> rates_;  // lr, then lr times the trust ratio
  std::vector<bool> adapts_;   // whether there is one
  std::vector<kernels::LambNorms> norms_, totals_;
};

}  // namespace

std::unique_ptr<Algorithm> algorithm_for(const LambOptions&) {
  return std::make_unique<LambAlgorithm>();
}

}  // namespace amp::optim
