// A model kept in low precision, and the fp32 masters that the optimizer works on.
#include "src/train_step/master_weights.h"

#include <c10/core/GradMode.h>

#include <unordered_set>
#include <utility>

namespace amp::train_step {

MasterWeights::MasterWeights(std::vector<ModelTensor> model,
                             const std::vector<torch::optim::Optimizer*>& optimizers,
                             const Recipe& recipe)
    : tensors_(std::move(model)) {
  if (recipe.model_dtype == c10::kFloat) return;
  c10::NoGradGuard no_grad;
  convert(recipe);
  if (!recipe.master_weights) pairs_.clear();
  for (auto* optimizer : optimizers) move_into(*optimizer);
  // What no optimizer steps needs no master.
  std::erase_if(pairs_, [](const Pair& pair) { return pair.owner == nullptr; });
}

// Keeps the full-precision values of what it converts; a tensor with two names is converted once.
void MasterWeights::convert(const Recipe& recipe) {
  std::unordered_set<const c10::TensorImpl*> seen;
  for (auto& [name, tensor, is_parameter, in_batch_norm] : tensors_) {
    if (!tensor.defined() || !tensor.is_floating_point()) continue;
    if (in_batch_norm && recipe.keep_batchnorm_fp32) continue;
    if (tensor.scalar_type() == recipe.model_dtype) continue;
    if (!seen.insert(tensor.unsafeGetTensorImpl()).second) continue;
    auto master = tensor.detach();  // shares the storage that set_data takes from the model
    tensor.mutable_grad().reset();
    tensor.set_data(master.to(recipe.model_dtype));
    if (is_parameter && tensor.requires_grad())
      pairs_.push_back({tensor, master.set_requires_grad(true), nullptr});
  }
}

void MasterWeights::move_into(torch::optim::Optimizer& optimizer) {
  std::unordered_map<const c10::TensorImpl*, Pair*> pairs;
  for (auto& pair : pairs_) pairs[pair.model.unsafeGetTensorImpl()] = &pair;
  auto& state = optimizer.state();
  for (auto& group : optimizer.param_groups()) {
    for (auto& parameter : group.params()) {
      const auto found = pairs.find(parameter.unsafeGetTensorImpl());
      if (found == pairs.end()) continue;
      auto& [model, master, owner] = *found->second;
      if (const auto kept = state.find(parameter.unsafeGetTensorImpl()); kept != state.end()) {
        auto moved = std::move(kept->second);
        state.erase(kept);
        state[master.unsafeGetTensorImpl()] = std::move(moved);
      }
      parameter = master;
      if (owner == nullptr) owner = &optimizer;
    }
  }
}

void MasterWeights::take_gradients(const torch::optim::Optimizer& optimizer) {
  c10::NoGradGuard no_grad;
  for (auto& [model, master, owner] : pairs_) {
    if (owner != &optimizer) continue;
    auto& gradient = model.mutable_grad();
    if (!gradient.defined()) continue;
    const auto widened = gradient.to(master.scalar_type());
    auto& sum = master.mutable_grad();
    sum = sum.defined() ? sum.add_(widened) : widened;
    gradient.reset();
  }
}

void MasterWeights::discard_gradients(const torch::optim::Optimizer& optimizer) {
  for (auto& [model, master, owner] : pairs_) {
    if (owner == &optimizer) model.mutable_grad().reset();
  }
}

void MasterWeights::write_back(const torch::optim::Optimizer& optimizer) {
  c10::NoGradGuard no_grad;
  for (auto& [model, master, owner] : pairs_) {
    if (owner == &optimizer) model.copy_(master);
  }
}

std::vector<ModelTensor> MasterWeights::values() const {
  std::unordered_map<const c10::TensorImpl*, at::Tensor> masters;
  for (const auto& [model, master, owner] : pairs_) masters[model.unsafeGetTensorImpl()] = master;
  auto values = tensors_;
  for (auto& value : values) {
    if (const auto found = masters.find(value.tensor.unsafeGetTensorImpl()); found != masters.end())
      value.tensor = found->second;
  }
  return values;
}

}  // namespace amp::train_step
