// An OpPolicy as JSON and back, and the names of the rules.
#include <algorithm>
#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "src/op_policy/lists.h"
#include "src/op_policy/op_names.h"
#include "src/op_policy/rule_names.h"
#include "src/op_policy/table.h"
#include "src/op_policy/user_names.h"
#include "src/text/suggest.h"

namespace amp {
namespace op_policy {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<const char*, CastRule>, 8> kRules = {
    {{"lower_precision", CastRule::lower_precision},
     {"fp32", CastRule::fp32},
     {"fp32_set_opt_dtype", CastRule::fp32_set_opt_dtype},
     {"fp32_append_dtype", CastRule::fp32_append_dtype},
     {"promote", CastRule::promote},
     {"fp32_inside", CastRule::fp32_inside},
     {"keep", CastRule::keep},
     {"banned", CastRule::banned}}};

json parsed_json(const std::string& text) {
  try {
    auto object = json::parse(text);
    if (object.is_object()) return object;
  } catch (const json::parse_error&) {
  }
  throw InvalidArgument(
      "OpPolicy: a policy must be a JSON object like {\"base\": \"torch_cuda\", \"rules\": "
      "{\"softmax\": \"keep\"}}");
}

std::string text_of(const json& value, const std::string& what) {
  if (value.is_string()) return value.get<std::string>();
  throw InvalidArgument("OpPolicy: " + what + " must be a text, got " + value.dump());
}

}  // namespace

const char* rule_name(CastRule rule) {
  for (const auto& [name, value] : kRules) {
    if (value == rule) return name;
  }
  return "";
}

CastRule rule_of(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [known_name, rule] : kRules) {
    if (name == known_name) return rule;
    known.emplace_back(known_name);
  }
  throw InvalidArgument("OpPolicy: there is no rule '" + name + "'" +
                        text::suggestion(name, known));
}

}  // namespace op_policy

namespace op_policy {
namespace {

// A name that from_json takes for this overload alone, and not for what users know by it.
std::string exact(const std::string& op) { return user_name(op) == nullptr ? op : op + ".default"; }

json rules_of(const Table& table) {
  auto rules = json::object();
  Table expected = *list(table.base).table;
  for (const auto& name : set_names(table)) {
    const auto rule = table.names.at(name);
    auto after = expected;
    set_members(after, name, members_of(name), rule);
    auto without = table;
    for (auto& use : without.uses)
      if (use.has_value() && use->name == name) use.reset();
    if (same_rules(after, expected) && same_rules(without, table)) continue;
    expected = std::move(after);
    rules[name] = rule_name(rule);
  }
  for (std::size_t i = 0; i < kOps; ++i)
    if (table.rules[i] != expected.rules[i]) rules[exact(op_name(i))] = rule_name(table.rules[i]);
  for (const auto& [name, rule] : table.added) {
    const auto known = expected.added.find(name);
    if (known == expected.added.end() || known->second != rule)
      rules[exact(name)] = rule_name(rule);
  }
  for (const auto& [name, rule] : expected.added)
    if (!table.added.contains(name)) rules[exact(name)] = rule_name(CastRule::keep);
  return rules;
}

json modules_of(const Table& table) {
  auto modules = json::array();
  for (const auto& [pattern, rule] : table.modules)
    modules.push_back({{"module", pattern}, {"rule", rule_name(rule)}});
  return modules;
}

// The rules of names first, those that stand for most before the others, so that what is said of one
// op holds wherever it stands in the text.
void set_rules(OpPolicy& policy, const json& rules) {
  if (!rules.is_object())
    throw InvalidArgument("OpPolicy: rules must be an object of op: rule, got " + rules.dump());
  std::vector<std::pair<std::string, CastRule>> ordered;
  for (const auto& [op, rule] : rules.items())
    ordered.emplace_back(op, rule_of(text_of(rule, "the rule of " + op)));
  std::ranges::stable_sort(ordered, std::greater<>(), [](const auto& item) {
    const auto name = parsed(item.first);
    return name.has_overload || user_name(name.base) == nullptr ? std::size_t{0}
                                                                : members_of(item.first).size();
  });
  for (const auto& [op, rule] : ordered) policy.set(op, rule);
}

// A list, because the last rule that means a module holds; or an object, where no two do.
void set_modules(OpPolicy& policy, const json& modules) {
  if (modules.is_object()) {
    for (const auto& [pattern, rule] : modules.items())
      policy.set_module(pattern, rule_of(text_of(rule, "the rule of the module " + pattern)));
    return;
  }
  if (!modules.is_array())
    throw InvalidArgument(
        "OpPolicy: modules must be a list of {\"module\": pattern, \"rule\": rule}, got " +
        modules.dump());
  for (const auto& item : modules) {
    if (!item.is_object() || item.size() != 2 || !item.contains("module") || !item.contains("rule"))
      throw InvalidArgument(
          "OpPolicy: a rule of a module must be {\"module\": pattern, \"rule\": rule}, got " +
          item.dump());
    const auto pattern = text_of(item.at("module"), "a module's pattern");
    policy.set_module(pattern,
                      rule_of(text_of(item.at("rule"), "the rule of the module " + pattern)));
  }
}

}  // namespace
}  // namespace op_policy

std::string OpPolicy::to_json() const {
  op_policy::json object = {{"base", table_->base}, {"rules", op_policy::rules_of(*table_)}};
  if (!table_->modules.empty()) object["modules"] = op_policy::modules_of(*table_);
  return object.dump(2);
}

OpPolicy OpPolicy::from_json(const std::string& text) {
  const auto object = op_policy::parsed_json(text);
  for (const auto& [key, value] : object.items()) {
    if (key == "base" || key == "rules" || key == "modules") continue;
    throw InvalidArgument("OpPolicy: a policy has no field '" + key + "'" +
                          text::suggestion(key, {"base", "rules", "modules"}));
  }
  if (!object.contains("base")) {
    throw InvalidArgument(
        "OpPolicy: a policy needs the field 'base': \"torch_cpu\", \"torch_cuda\", \"fast_cpu\", "
        "\"fast_cuda\" or \"unified\"");
  }
  OpPolicy policy(op_policy::list(op_policy::text_of(object.at("base"), "base")).table);
  if (object.contains("rules")) op_policy::set_rules(policy, object.at("rules"));
  if (object.contains("modules")) op_policy::set_modules(policy, object.at("modules"));
  return policy;
}

}  // namespace amp
