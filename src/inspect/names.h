// A model's modules and parameters by name, and which of them an op belongs to.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "amp/train_step.h"

namespace amp::inspect {

inline constexpr int kRoot = 0;  // the model itself

struct ModuleNode {
  std::string name;  // "blocks.3.attn"
  std::string type;  // "relu" of ReLUImpl: as ops are spelled, without underscores; may be empty
  int parent = -1;
  std::vector<int> children = {};
  bool has_parameters = false;  // its own or a child's
};

struct NamedParameter {
  std::string name;
  at::Tensor tensor;
  int module = kRoot;
};

class Names {
 public:
  explicit Names(const torch::nn::Module& model);
  explicit Names(const torch::jit::Module& model);
  explicit Names(const NamedTensors& parameters);

  void add(const NamedTensors& more);
  // Notes where the parameters and the copies of them that optimizers wrote lie now.
  void locate();
  // The memory of a cast of a parameter.
  void note_cast(const at::Tensor& cast, int parameter);

  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  const std::vector<ModuleNode>& modules() const { return modules_; }

  // The parameter that this tensor is, or a view or a cast of; -1: none.
  int parameter_of(const at::Tensor& tensor) const;
  std::string parameter_name(
      const at::Tensor& parameter) const;  // "a parameter of shape [3, 4]" if unknown

  // The number of a module by its address or its name; -1 if it is none of the model's.
  int module_at(const void* address) const;
  int module_named(const std::string& name) const;
  // The module of an op without parameters that is called after an op of module `last`. It is the
  // next child without parameters whose type has the op's name, in the nearest surrounding module
  // that has such a child. A loss belongs to the model itself, and every other op to last's parent.
  // -1: nothing was called yet.
  int after(int last, const std::string& op) const;

 private:
  void add_parameter(const std::string& name, const at::Tensor& tensor, int module);
  int add_module(const std::string& name, const std::string& type, int parent);
  template <typename Module>
  void collect(const Module& module, int node);

  std::vector<ModuleNode> modules_;
  std::vector<NamedParameter> parameters_;
  std::unordered_map<const void*, int> by_address_;              // of modules
  std::unordered_map<const c10::TensorImpl*, int> by_tensor_;    // of parameters
  std::unordered_map<const c10::StorageImpl*, int> by_memory_;   // of these; -1: of several
  std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> kept_;  // so that no address comes again
  NamedTensors more_;
};

// "nll_loss" of "autograd::engine::evaluate_function: NllLossBackward0".
std::string op_of_node(const std::string& name);

}  // namespace amp::inspect
