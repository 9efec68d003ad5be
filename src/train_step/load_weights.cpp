// Copying named values into a model.
#include "src/train_step/load_weights.h"

#include <c10/core/GradMode.h>

#include <sstream>
#include <unordered_map>

#include "amp/error.h"
#include "src/train_step/master_weights.h"

namespace amp::train_step {
namespace {

void check_shape(const std::string& name, const at::Tensor& target, const at::Tensor& value) {
  if (value.defined() && value.sizes() == target.sizes()) return;
  std::ostringstream message;
  message << "weights: '" << name << "' has shape ";
  if (value.defined()) {
    message << value.sizes();
  } else {
    message << "undefined";
  }
  message << ", the model's has " << target.sizes() << "; give the weights of this model";
  throw InvalidArgument(message.str());
}

// Batch normalisation counts its batches since PyTorch 0.4.1, and many tools drop the count, which matters only
// without a momentum. Source: torch.nn.modules.batchnorm._NormBase._load_from_state_dict, PyTorch 2.11.
bool may_be_missing(const ModelTensor& item) {
  return !item.is_parameter && item.name.ends_with("num_batches_tracked");
}

}  // namespace

void load_weights(const std::vector<ModelTensor>& model, const NamedTensors& weights) {
  std::unordered_map<std::string, at::Tensor> by_name(weights.begin(), weights.end());
  for (const auto& item : model) {
    const auto found = by_name.find(item.name);
    if (found == by_name.end() && may_be_missing(item)) continue;
    if (found == by_name.end())
      throw InvalidArgument("weights: the model's '" + item.name +
                            "' is missing; give the weights of this model");
    check_shape(item.name, item.tensor, found->second);
  }
  auto others = by_name;
  for (const auto& item : model) others.erase(item.name);
  if (!others.empty())
    throw InvalidArgument("weights: the model has no '" + others.begin()->first +
                          "'; give the weights of this model");
  c10::NoGradGuard no_grad;
  for (const auto& item : model) {
    auto target = item.tensor;
    const auto found = by_name.find(item.name);
    if (found == by_name.end()) continue;
    const auto& value = found->second;
    // Rounded, a value would lose what its master has room for.
    if (auto master = master_of(target); master.defined())
      target.copy_(master.copy_(value));
    else
      target.copy_(value);
  }
}

}  // namespace amp::train_step
