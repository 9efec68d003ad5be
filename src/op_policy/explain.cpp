// A policy in words.
#include <optional>

#include "src/op_policy/lists.h"
#include "src/op_policy/module_rules.h"
#include "src/op_policy/op_names.h"
#include "src/op_policy/rule_names.h"
#include "src/op_policy/user_names.h"

namespace amp {
namespace op_policy {
namespace {

const char* meaning(CastRule rule) {
  switch (rule) {
    case CastRule::lower_precision:
      return "its tensors are cast to the region's dtype";
    case CastRule::fp32:
      return "its tensors are cast to fp32";
    case CastRule::fp32_set_opt_dtype:
      return "it computes in fp32 unless dtype= is given";
    case CastRule::fp32_append_dtype:
      return "it computes in fp32";
    case CastRule::promote:
      return "its tensors are cast to the widest of their dtypes";
    case CastRule::fp32_inside:
      return "it reads low precision and computes in fp32 inside";
    case CastRule::keep:
      return "it runs in the dtype it is given";
    case CastRule::banned:
      return "it throws";
  }
  return "";
}

const char* meaning_for_module(CastRule rule) {
  switch (rule) {
    case CastRule::lower_precision:
      return "are cast to the region's dtype";
    case CastRule::fp32:
      return "are cast to fp32";
    case CastRule::promote:
      return "are cast to the widest of their dtypes";
    default:
      return "stay as they are";
  }
}

std::string begun(const std::string& op, CastRule rule) {
  return op + ": " + rule_name(rule) + " (" + meaning(rule) + "), ";
}

std::string explained(const std::string& op, CastRule rule, std::optional<CastRule> base_rule,
                      const std::string& base) {
  const auto text = begun(op, rule);
  if (!base_rule.has_value()) return text + "set by hand; torch lists it nowhere";
  if (rule != *base_rule)
    return text + "set by hand; " + list(base).described + " says " + rule_name(*base_rule);
  if (rule == CastRule::keep && parsed(op).base.ends_with('_'))
    return text + "because in-place and out= variants are never cast";
  if (rule == CastRule::keep) return text + "because " + list(base).described + " does not name it";
  return text + "by " + list(base).described;
}

// What of the op's calls has another rule.
std::string exceptions(const Table& table, std::size_t number) {
  std::string text;
  for (std::size_t i = 0; i < kUses; ++i) {
    if (!table.uses[i].has_value()) continue;
    const auto use = static_cast<Use>(i);
    for (const auto op : ops_of(use)) {
      if (op != number || table.uses[i]->rule == table.rules[number]) continue;
      text += std::string("; ") + described(use) + ": " + rule_name(table.uses[i]->rule) +
              ", as '" + table.uses[i]->name + "'";
    }
  }
  return text;
}

std::string of_modules(const Table& table) {
  std::string text;
  for (const auto& [pattern, rule] : table.modules)
    text += "; in the module " + pattern + ": " + rule_name(rule);
  return text;
}

std::string explained_listed(const Table& table, std::size_t number) {
  const auto& base = *list(table.base).table;
  return explained(op_name(number), table.rules[number], base.rules[number], table.base);
}

std::string explained_other(const Table& table, const std::string& op) {
  const auto place = table.added.find(op);
  return place == table.added.end() ? explained(op, CastRule::keep, CastRule::keep, table.base)
                                    : explained(op, place->second, std::nullopt, table.base);
}

// "'linear' also rules addmm, _addmm_activation, matmul, mm where the second operand is a parameter".
std::string explained_name(const Table& table, const UserName& name) {
  std::string text;
  const auto is_set = table.names.contains(name.name);
  const char* before = is_set ? "' also rules " : "', once it is set, also rules ";
  for (std::size_t i = 0; i < name.uses.size(); ++i) {
    text += text.empty() ? std::string("'") + name.name + before : "; ";
    const char* comma = "";
    for (const auto op : ops_of(name.uses[i])) {
      text += comma + op_name(op);
      comma = ", ";
    }
    text += std::string(" ") + described(name.uses[i]);
  }
  return text;
}

}  // namespace
}  // namespace op_policy

std::string OpPolicy::explain(const std::string& op) const {
  std::string text;
  const auto add = [&](const std::string& line) {
    if (!line.empty()) text += (text.empty() ? "" : "\n") + line;
  };
  const auto members = op_policy::members_of(op);
  const auto modules = op_policy::of_modules(*table_);
  for (const auto number : members.numbers)
    add(op_policy::explained_listed(*table_, number) + op_policy::exceptions(*table_, number) +
        modules);
  for (const auto& other : members.others)
    add(op_policy::explained_other(*table_, other) + modules);
  const auto name = op_policy::parsed(op);
  const auto* known = name.has_overload ? nullptr : op_policy::user_name(name.base);
  if (known != nullptr) add(op_policy::explained_name(*table_, *known));
  if (!text.empty()) return text;
  for (const auto& other : op_policy::unlisted(name, op_policy::Writes::an_argument))
    add(other +
        ": keep (it runs in the dtype it is given), because in-place and out= variants are "
        "never cast");
  if (text.empty()) op_policy::refuse_unknown(op);
  return text;
}

std::string OpPolicy::explain(const std::string& op, const std::string& by) const {
  for (const auto& [pattern, rule] : table_->modules) {
    if (by == "module " + pattern)
      return op_policy::begun(op, rule) + "by the rule of the module " + pattern;
  }
  for (std::size_t i = 0; i < op_policy::kUses; ++i) {
    const auto& use = table_->uses[i];
    if (!use.has_value() || use->name != by) continue;
    for (const auto number : op_policy::ops_of(static_cast<op_policy::Use>(i))) {
      if (op_policy::op_name(number) != op) continue;
      return op_policy::begun(op, use->rule) + "as '" + by + "', " +
             op_policy::described(static_cast<op_policy::Use>(i));
    }
  }
  const auto name = op_policy::parsed(op);
  if (const auto numbers = op_policy::listed(name); numbers.size() == 1)
    return op_policy::explained_listed(*table_, numbers[0]);
  if (const auto others = op_policy::unlisted(name); others.size() == 1)
    return op_policy::explained_other(*table_, others[0]);
  return explain(op);
}

std::string OpPolicy::explain_module(const std::string& module) const {
  const op_policy::ModuleRule* found = nullptr;
  for (const auto& rule : table_->modules)
    if (op_policy::means(rule.pattern, module)) found = &rule;
  const auto shown = module.empty() ? std::string("the model") : module;
  if (found == nullptr) return shown + ": each op by its own rule";
  return shown + ": " + op_policy::rule_name(found->rule) + " (its ops' tensors " +
         op_policy::meaning_for_module(found->rule) + "), by the rule of the module " +
         found->pattern;
}

}  // namespace amp
