// The tensors of a model by name.
#include "src/train_step/model_tensors.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>

namespace amp::train_step {
namespace {

bool is_batch_norm(const torch::nn::Module& module) {
  return dynamic_cast<const torch::nn::BatchNorm1dImpl*>(&module) != nullptr ||
         dynamic_cast<const torch::nn::BatchNorm2dImpl*>(&module) != nullptr ||
         dynamic_cast<const torch::nn::BatchNorm3dImpl*>(&module) != nullptr;
}

// By the name of its Python class: BatchNorm2d, SyncBatchNorm.
bool is_batch_norm(const torch::jit::Module& module) {
  return module.type()->name()->name().find("BatchNorm") != std::string::npos;
}

void collect(const torch::nn::Module& module, const std::string& prefix,
             std::vector<ModelTensor>& into) {
  const bool norm = is_batch_norm(module);
  for (const auto& item : module.named_parameters(/*recurse=*/false))
    into.push_back({prefix + item.key(), item.value(), true, norm});
  for (const auto& item : module.named_buffers(/*recurse=*/false))
    into.push_back({prefix + item.key(), item.value(), false, norm});
  for (const auto& child : module.named_children())
    collect(*child.value(), prefix + child.key() + ".", into);
}

void collect(const torch::jit::Module& module, const std::string& prefix,
             std::vector<ModelTensor>& into) {
  const bool norm = is_batch_norm(module);
  for (const auto& item : module.named_parameters(/*recurse=*/false))
    into.push_back({prefix + item.name, item.value, true, norm});
  for (const auto& item : module.named_buffers(/*recurse=*/false))
    into.push_back({prefix + item.name, item.value, false, norm});
  for (const auto& child : module.named_children())
    collect(child.value, prefix + child.name + ".", into);
}

template <typename Module>
std::vector<ModelTensor> collected(const Module& model) {
  std::vector<ModelTensor> tensors;
  collect(model, "", tensors);
  return tensors;
}

void collect_buffers(const torch::nn::Module& module, std::vector<BufferPlace>& into) {
  for (auto& buffer : module.buffers(/*recurse=*/false)) into.emplace_back(std::move(buffer));
  for (const auto& child : module.children()) collect_buffers(*child, into);
}

void collect_buffers(const torch::jit::Module& module, std::vector<BufferPlace>& into) {
  for (const auto& item : module.named_buffers(/*recurse=*/false))
    into.emplace_back(module._ivalue(), module.type()->getAttributeSlot(item.name));
  for (const auto& child : module.children()) collect_buffers(child, into);
}

template <typename Module>
std::vector<BufferPlace> collected_buffers(const Module& model) {
  std::vector<BufferPlace> places;
  collect_buffers(model, places);
  return places;
}

}  // namespace

at::Tensor BufferPlace::tensor() const {
  return module_ ? module_->getSlot(slot_).toTensor() : tensor_;
}

void BufferPlace::put(const at::Tensor& tensor) const {
  if (module_) module_->setSlot(slot_, tensor);
}

std::vector<BufferPlace> buffers_of(const torch::nn::Module& model) {
  return collected_buffers(model);
}
std::vector<BufferPlace> buffers_of(const torch::jit::Module& model) {
  return collected_buffers(model);
}

Model model_of(const torch::nn::Module& module) {
  return {[&module] { return tensors_of(module); }, [&module] { return buffers_of(module); }};
}
// A handle on the script module's object, which a copy shares.
Model model_of(const torch::jit::Module& module) {
  return {[module] { return tensors_of(module); }, [module] { return buffers_of(module); }};
}

std::vector<ModelTensor> tensors_of(const torch::nn::Module& model) { return collected(model); }
std::vector<ModelTensor> tensors_of(const torch::jit::Module& model) { return collected(model); }

}  // namespace amp::train_step
