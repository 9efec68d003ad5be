// The options of a group as torch::optim wants them: cloned, saved, and their lr set by schedulers.
#pragma once

#include <torch/optim/optimizer.h>

#include <string>
#include <tuple>

#include "amp/optim.h"
#include "src/optim/archive.h"
#include "src/optim/check_options.h"

namespace amp::optim {

constexpr const char* name_of(const SGDOptions*) { return "SGD"; }
constexpr const char* name_of(const AdamOptions*) { return "Adam"; }
constexpr const char* name_of(const AdamWOptions*) { return "AdamW"; }
constexpr const char* name_of(const LambOptions*) { return "Lamb"; }

// Calls visitor(name, field) for each option but the memory's.
template <typename Visitor, typename Options>
void visit_options(Visitor&& visitor, Options& o) {
  visitor("lr", o.lr);
  visitor("weight_decay", o.weight_decay);
  visitor("maximize", o.maximize);
  if constexpr (requires { o.momentum; }) {
    visitor("momentum", o.momentum);
    visitor("dampening", o.dampening);
    visitor("nesterov", o.nesterov);
  }
  if constexpr (requires { o.betas; }) {
    visitor("beta1", o.betas[0]);
    visitor("beta2", o.betas[1]);
    visitor("eps", o.eps);
  }
  if constexpr (requires { o.amsgrad; }) visitor("amsgrad", o.amsgrad);
  if constexpr (requires { o.bias_correction; }) visitor("bias_correction", o.bias_correction);
}

template <typename Options>
class GroupOptions final : public torch::optim::OptimizerCloneableOptions<GroupOptions<Options>> {
 public:
  explicit GroupOptions(const Options& options) : value(options) {}

  double get_lr() const override { return value.lr; }
  void set_lr(const double lr) override {
    check_lr(lr, name_of(&value));
    value.lr = lr;
  }

  void serialize(OutputArchive& archive) const override {
    visit_options(
        [&](const char* name, const auto& field) { archive.write(name, c10::IValue(field)); },
        value);
    archive.write("memory_weights", c10::IValue(static_cast<std::int64_t>(value.memory.weights)));
    archive.write("memory_bf16_moments", c10::IValue(value.memory.bf16_moments));
    archive.write("memory_seed", c10::IValue(static_cast<std::int64_t>(value.memory.seed)));
  }

  void serialize(InputArchive& archive) override {
    visit_options([&](const char* name, auto& field) { read(archive, name, field); }, value);
    std::int64_t weights = 0, seed = 0;
    read(archive, "memory_weights", weights);
    read(archive, "memory_bf16_moments", value.memory.bf16_moments);
    read(archive, "memory_seed", seed);
    value.memory.weights = static_cast<LowPrecisionWeights>(weights);
    value.memory.seed = static_cast<std::uint64_t>(seed);
  }

  Options value;
};

}  // namespace amp::optim
