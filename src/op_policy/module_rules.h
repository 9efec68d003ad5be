// Rules by module: which modules a pattern means, and what of a model they are found by.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "amp/module_scope.h"
#include "amp/op_policy.h"
#include "src/op_policy/table.h"

namespace amp::op_policy {

inline constexpr int kNoRule = -1;

// Whether a pattern means the module of this name: the pattern matches its whole name, or that of a
// module around it. `*` stands for any text, also with dots, and `?` for any character; "a.*" means
// a, too.
bool means(const std::string& pattern, const std::string& module);

using WeakTensor = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;

struct BoundTensor {
  WeakTensor tensor;  // so that no address comes again
  int module;
};

struct BoundModule {
  int module;
  bool is_owned;  // by a shared_ptr: then `alive` tells whether it still is
  std::weak_ptr<const void> alive;
};

// The modules, parameters and buffers of a model.
struct ModelNames {
  std::vector<std::string> modules;  // the first is the model itself, ""
  std::unordered_multimap<const void*, BoundModule> by_address;
  std::vector<BoundTensor> tensors;
};

// With the rules that hold for them, as numbers in Table::modules or kNoRule.
struct BoundModel {
  std::shared_ptr<const ModelNames> names;
  std::vector<int> rule_of_module;
  std::unordered_map<const c10::TensorImpl*, int> rule_of_tensor;
};

// Binds the table's rules by module. Throws InvalidArgument for a pattern that means no module.
void bind_names(Table& table, std::shared_ptr<const ModelNames> names);

// The rule of what a scope surrounds, whether a model is bound or not.
int rule_of_scope(const Table& table, const ModuleScope& scope);

// Where the memory of the bound tensors is now. It finds views of them that autograd does not know.
class Memory {
 public:
  Memory() = default;
  explicit Memory(const BoundModel& model);
  bool is_current(const BoundModel& model) const;
  // Nothing for memory of no bound tensor; kNoRule, too, for memory that tensors with different rules
  // share.
  std::optional<int> find(const at::Tensor& tensor) const;

 private:
  std::vector<const c10::StorageImpl*> storages_;  // in the order of the model's tensors
  std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> kept_;
  std::unordered_map<const c10::StorageImpl*, int> rules_;
};

}  // namespace amp::op_policy
