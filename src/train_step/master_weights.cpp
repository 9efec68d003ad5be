// A model kept in low precision, and the fp32 masters that the optimizer works on.
#include "src/train_step/master_weights.h"

#include <c10/core/GradMode.h>

#include <unordered_set>
#include <utility>

namespace amp::train_step {

MasterWeights::MasterWeights(std::vector<ModelTensor> model, torch::optim::Optimizer& optimizer,
                             const Recipe& recipe)
    : tensors_(std::move(model)) {
  if (recipe.model_dtype == c10::kFloat) return;
  c10::NoGradGuard no_grad;
  convert(recipe);
  if (!recipe.master_weights) pairs_.clear();
  move_into(optimizer);
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
      pairs_.push_back({tensor, master.set_requires_grad(true)});
  }
}

void MasterWeights::move_into(torch::optim::Optimizer& optimizer) {
  std::unordered_map<const c10::TensorImpl*, at::Tensor> masters;
  for (const auto& [model, master] : pairs_) masters[model.unsafeGetTensorImpl()] = master;
  std::unordered_set<const c10::TensorImpl*> owned;
  auto& state = optimizer.state();
  for (auto& group : optimizer.param_groups()) {
    for (auto& parameter : group.params()) {
      const auto found = masters.find(parameter.unsafeGetTensorImpl());
      if (found == masters.end()) continue;
      if (const auto kept = state.find(parameter.unsafeGetTensorImpl()); kept != state.end()) {
        auto moved = std::move(kept->second);
        state.erase(kept);
        state[found->second.unsafeGetTensorImpl()] = std::move(moved);
      }
      parameter = found->second;
      owned.insert(found->first);
    }
  }
  // What this optimizer does not step needs no master.
  std::erase_if(
      pairs_, [&](const Pair& pair) { return !owned.contains(pair.model.unsafeGetTensorImpl()); });
}

void MasterWeights::take_gradients() {
  c10::NoGradGuard no_grad;
  for (auto& [model, master] : pairs_) {
    auto& gradient = model.mutable_grad();
    if (!gradient.defined()) continue;
    const auto widened = gradient.to(master.scalar_type());
    auto& sum = master.mutable_grad();
    sum = sum.defined() ? sum.add_(widened) : widened;
    gradient.reset();
  }
}

void MasterWeights::write_back() {
  c10::NoGradGuard no_grad;
  for (auto& [model, master] : pairs_) model.copy_(master);
}

std::vector<ModelTensor> MasterWeights::values() const {
  std::unordered_map<const c10::TensorImpl*, at::Tensor> masters;
  for (const auto& [model, master] : pairs_) masters[model.unsafeGetTensorImpl()] = master;
  auto values = tensors_;
  for (auto& value : values) {
    if (const auto found = masters.find(value.tensor.unsafeGetTensorImpl()); found != masters.end())
      value.tensor = found->second;
  }
  return values;
}

}  // namespace amp::train_step
