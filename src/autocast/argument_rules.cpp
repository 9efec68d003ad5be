// Rules that depend on what an op is called with.
#include "src/autocast/argument_rules.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "amp/module_scope.h"
#include "src/autocast/cast_cache.h"

namespace amp::autocast {
namespace {

bool is_leaf_parameter(const at::TensorBase& tensor) {
  return tensor.requires_grad() && tensor.is_leaf() && tensor.is_floating_point();
}

// The tensor that this one is a view of, as autograd knows it; undefined for another.
at::Tensor base_of(const at::Tensor& tensor) {
  return is_plain(tensor) && tensor.is_view() ? at::Tensor(tensor._base()) : at::Tensor();
}

// The rule of a tensor of the bound model, or of a view of one; nothing for another.
std::optional<int> bound_rule(const at::Tensor& tensor, const Region::Device& here) {
  const auto& rules = here.table->model->rule_of_tensor;
  if (const auto found = rules.find(tensor.unsafeGetTensorImpl()); found != rules.end())
    return found->second;
  if (const auto base = base_of(tensor); base.defined()) {
    const auto found = rules.find(base.unsafeGetTensorImpl());
    if (found != rules.end()) return found->second;
  }
  return here.memory.find(tensor);
}

}  // namespace

int rule_of_scopes(const op_policy::Table& table) {
  int rule = op_policy::kNoRule;
  for (const auto* scope = ModuleScope::innermost(); scope != nullptr; scope = scope->outer())
    rule = std::max(rule, op_policy::rule_of_scope(table, *scope));
  return rule;
}

void raise_to_rule_of(const at::Tensor& tensor, const Region::Device& here, int& rule) {
  if (tensor.defined())
    rule = std::max(rule, bound_rule(tensor, here).value_or(op_policy::kNoRule));
}

std::optional<Choice> choice_of_module(const op_policy::Table& table, int rule) {
  if (rule == op_policy::kNoRule) return std::nullopt;
  const auto& found = table.modules[static_cast<std::size_t>(rule)];
  return Choice{found.rule, &found.pattern, /*is_module=*/true};
}

std::optional<Choice> choice_of_use(const op_policy::Table& table, op_policy::Use use) {
  const auto& found = table.uses[static_cast<std::size_t>(use)];
  if (!found.has_value()) return std::nullopt;
  return Choice{found->rule, &found->name};
}

bool is_parameter(const at::Tensor& tensor, const Region::Device& here) {
  if (!tensor.defined() || !tensor.is_floating_point()) return false;
  if (is_leaf_parameter(tensor)) return true;
  if (const auto base = base_of(tensor); base.defined() && is_leaf_parameter(base)) return true;
  // Views are not tracked in inference mode, whose own results are inference tensors.
  if (c10::InferenceMode::is_enabled() && !tensor.is_inference()) return true;
  return here.table->model != nullptr && bound_rule(tensor, here).has_value();
}

void note_choice(Log& log, const std::string& op, CastRule own, const Choice& choice) {
  if (own == CastRule::keep) {
    if (choice.rule != CastRule::keep) log.take_back(op);
  } else if (choice.rule == CastRule::keep) {
    log.call(op, CastRule::keep, choice.by());
  }
}

}  // namespace amp::autocast
