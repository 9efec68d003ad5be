// ModuleScope: which module the ops of a thread belong to.
#pragma once

#include <string>

#include "amp/export.h"

namespace torch::nn {
class Module;
}

namespace amp {

// While it lives, the ops of this thread belong to this module. An Inspector reports them so
// (unless a parameter says otherwise), and an OpPolicy's rule for the module holds for them. Scopes
// nest, and end in the reverse order of their making. A scope costs some nanoseconds.
//
//   at::Tensor forward(const at::Tensor& x) { amp::ModuleScope scope(*this); ... }
class AMP_API ModuleScope {
 public:
  explicit ModuleScope(const torch::nn::Module& module);  // by the name the model knows it by
  explicit ModuleScope(std::string name);
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;

  static const ModuleScope* innermost();  // of this thread; null without

  const void* module() const { return module_; }  // null if it was made from a name
  const std::string& name() const { return name_; }
  const ModuleScope* outer() const { return outer_; }

 private:
  const void* module_ = nullptr;
  std::string name_;
  const ModuleScope* outer_;
};

}  // namespace amp
