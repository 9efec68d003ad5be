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

}  // namespace

void load_weights(const std::vector<ModelTensor>& model, const NamedTensors& weights) {
  std::unordered_map<std::string, at::Tensor> by_name(weights.begin(), weights.end());
  for (const auto& item : model) {
    const auto found = by_name.find(item.name);
    if (found == by_name.end())
      throw InvalidArgument("weights: the model's '" + item.name +
                            "' is missing; give the weights of this model");
    check_shape(item.name, item.tensor, found->second);
  }
  if (by_name.size() > model.size()) {
    for (const auto& item : model) by_name.erase(item.name);
    throw InvalidArgument("weights: the model has no '" + by_name.begin()->first +
                          "'; give the weights of this model");
  }
  c10::NoGradGuard no_grad;
  for (const auto& item : model) {
    auto target = item.tensor;
    const auto& value = by_name.at(item.name);
    // Rounded, a value would lose what its master has room for.
    if (auto master = master_of(target); master.defined())
      target.copy_(master.copy_(value));
    else
      target.copy_(value);
  }
}

}  // namespace amp::train_step
