// The tensors of a model by name, of a C++ module and of a TorchScript one alike.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace torch::nn {
class Module;
}
namespace torch::jit {
struct Module;
}

namespace amp::train_step {

struct ModelTensor {
  std::string name;
  at::Tensor tensor;  // the model's own: set_data on it changes the model
  bool is_parameter = false;
  bool in_batch_norm = false;
};

// Parameters and buffers in the order of the model, each name once; a tensor that is shared comes
// under each of its names. Works for a module that no shared_ptr holds.
std::vector<ModelTensor> tensors_of(const torch::nn::Module& model);
std::vector<ModelTensor> tensors_of(const torch::jit::Module& model);

// Where a model keeps a buffer. A TorchScript module whose forward pass assigns to it puts another
// tensor there.
class BufferPlace {
 public:
  explicit BufferPlace(at::Tensor tensor) : tensor_(std::move(tensor)) {}
  BufferPlace(c10::intrusive_ptr<c10::ivalue::Object> module, std::size_t slot)
      : module_(std::move(module)), slot_(slot) {}

  at::Tensor tensor() const;
  void put(const at::Tensor& tensor) const;  // nothing in a C++ module, which keeps its tensor

 private:
  at::Tensor tensor_;
  c10::intrusive_ptr<c10::ivalue::Object> module_;  // null in a C++ module
  std::size_t slot_ = 0;
};

std::vector<BufferPlace> buffers_of(const torch::nn::Module& model);
std::vector<BufferPlace> buffers_of(const torch::jit::Module& model);

// A model that is trained. Each call returns what the module has now. It refers to the module and
// does not own it.
struct Model {
  std::function<std::vector<ModelTensor>()> tensors;
  std::function<std::vector<BufferPlace>()> buffers;
};
Model model_of(const torch::nn::Module& module);
Model model_of(const torch::jit::Module& module);

}  // namespace amp::train_step
