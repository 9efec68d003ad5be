// The weights of modules by name.
#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>

#include "amp/checkpoint.h"
#include "src/train_step/load_weights.h"
#include "src/train_step/model_tensors.h"

namespace amp {
namespace {

NamedTensors named(const std::vector<train_step::ModelTensor>& tensors) {
  NamedTensors weights;
  for (const auto& item : tensors) weights.emplace_back(item.name, item.tensor.detach());
  return weights;
}

}  // namespace

NamedTensors named_weights(const torch::nn::Module& module) {
  return named(train_step::tensors_of(module));
}
NamedTensors named_weights(const torch::jit::Module& module) {
  return named(train_step::tensors_of(module));
}
void load_weights(torch::nn::Module& module, const NamedTensors& weights) {
  train_step::load_weights(train_step::tensors_of(module), weights);
}
void load_weights(torch::jit::Module& module, const NamedTensors& weights) {
  train_step::load_weights(train_step::tensors_of(module), weights);
}

NamedTensors converted(const NamedTensors& weights, c10::ScalarType dtype) {
  NamedTensors result;
  for (const auto& [name, tensor] : weights)
    result.emplace_back(name, tensor.is_floating_point() ? tensor.to(dtype) : tensor);
  return result;
}

}  // namespace amp
