// Where the memory of a training goes.
#include "app/training/step_memory.h"

#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>
#include <vector>

#include "amp/optim.h"

namespace ampersand {
namespace {

std::int64_t bytes(const at::Tensor& tensor) { return static_cast<std::int64_t>(tensor.nbytes()); }

}  // namespace

void StepMemory::know(const Model& model, const amp::TrainStep& train_step,
                      std::int64_t average_bytes) {
  weights_ = masters_ = 0;
  average_ = average_bytes;
  std::unordered_set<const void*> own;
  for (const auto& list : {model.parameters(), model.buffers()}) {
    for (const auto& tensor : list) {
      if (own.insert(tensor.const_data_ptr()).second) weights_ += bytes(tensor);
    }
  }
  for (const auto& [name, tensor] : train_step.weights()) {
    if (own.insert(tensor.const_data_ptr()).second) masters_ += bytes(tensor);
  }
}

amp::StepReport StepMemory::count(
    const Model& model,
    const std::function<amp::StepReport(const std::function<void()>& after_forward)>& step) {
  MemoryCensus census(watch_, model.parameters());
  std::vector<std::pair<at::Tensor, unsigned>> hooks;
  for (const auto& parameter : model.parameters()) {
    if (!parameter.requires_grad()) continue;
    hooks.emplace_back(parameter, parameter.register_hook([this](const at::Tensor& gradient) {
      gradients_ += bytes(gradient);
    }));
  }
  const auto report = step([&] { after_forward_ = census.live(); });
  for (auto& [parameter, hook] : hooks) parameter.remove_hook(hook);
  counted_ = true;
  return report;
}

nlohmann::json StepMemory::event(const torch::optim::Optimizer& optimizer) const {
  const auto* fused = dynamic_cast<const amp::optim::FusedOptimizer*>(&optimizer);
  const auto copies = fused == nullptr ? 0 : fused->copy_bytes();
  return {{"event", "memory"},
          {"weights", weights_},
          {"copies", after_forward_.copies + copies},
          {"masters", masters_},
          {"gradients", gradients_},
          {"optimizer", watch_.live_bytes() - data_ - weights_ - masters_ - average_ - copies},
          {"activations", after_forward_.floating},
          {"integers", after_forward_.integer},
          {"other", after_forward_.other + average_}};
}

}  // namespace ampersand
