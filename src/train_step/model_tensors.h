// The tensors of a model by name, of a C++ module and of a TorchScript one alike.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
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

}  // namespace amp::train_step
