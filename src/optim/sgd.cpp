// SGD: the kernel's constants, and the same arithmetic by ATen.
#include <ATen/TensorOperators.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/where.h>

#include "src/optim/algorithm.h"

namespace amp::optim {
namespace {

class SgdAlgorithm final : public AlgorithmOf<SGDOptions> {
 public:
  Buffers buffers(const OptimizerOptions& options) const override {
    return {.first = of(options).momentum != 0};
  }

  void clear() override { constants_.clear(); }

  void add(const OptimizerOptions& options, const Counters& now) override {
    const auto& o = of(options);
    constants_.push_back({.lr = static_cast<float>(o.lr),
                          .momentum = static_cast<float>(o.momentum),
                          .dampening = static_cast<float>(o.dampening),
                          .weight_decay = static_cast<float>(o.weight_decay),
                          .nesterov = o.nesterov,
                          .maximize = o.maximize,
                          .first_step = now.momentum_steps == 1});
  }

  void run(const std::vector<tensor_lists::Operands>& list,
           const tensor_lists::ChunkList& chunks) override {
    const auto& table = kernels::table();
    chunks.run([&](std::size_t i) {
      const auto& chunk = chunks[i];
      const auto o = list[chunk.tensor].from(chunk.first);
      table.sgd(constants_[chunk.tensor], o.gradient, o.weights, o.first, o.noise, chunk.count);
    });
  }

  void update(const OptimizerOptions& options, TensorOperands& t) const override {
    const auto& o = of(options);
    auto d = o.maximize ? -t.gradient : t.gradient;
    if (o.weight_decay != 0) d = d.add(t.weight, o.weight_decay);
    if (o.momentum != 0) {
      const auto average = t.first.mul(o.momentum).add(d, 1 - o.dampening);
      t.first = at::where(t.momentum_step.eq(1), d, average);
      d = o.nesterov ? d.add(t.first, o.momentum) : t.first;
    }
    t.weight = t.weight.add(d, -o.lr);
  }

  // ATen's list call knows the first step by a flag of the host, which only dampening needs. With
  // maximize it decays weights in the other direction. So these two cases go one by one.
  bool takes_lists(const OptimizerOptions& options) const override {
    const auto& o = of(options);
    return o.momentum >= 0 && o.dampening == 0 && !o.maximize;
  }

  void update_lists(const OptimizerOptions& options, TensorLists& t) const override {
    const auto& o = of(options);
    at::_fused_sgd_(t.weights, t.gradients, t.first, o.weight_decay, o.momentum, o.lr, o.dampening,
                    o.nesterov, o.maximize, /*is_first_step=*/false, {}, t.found_inf);
  }

 private:
  std::vector<kernels::Sgd> constants_;
};

}  // namespace

std::unique_ptr<Algorithm> algorithm_for(const SGDOptions&) {
  return std::make_unique<SgdAlgorithm>();
}

}  // namespace amp::optim
