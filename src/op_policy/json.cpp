// An OpPolicy as JSON and back, and the names of the rules.
#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "src/op_policy/lists.h"
#include "src/op_policy/rule_names.h"
#include "src/op_policy/table.h"
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

json parsed(const std::string& text) {
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

const char* name_of(CastRule rule) {
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

std::string OpPolicy::to_json() const {
  const auto& base = *op_policy::list(table_->base).table;
  auto rules = op_policy::json::object();
  for (std::size_t i = 0; i < op_policy::kOps; ++i) {
    if (table_->rules[i] != base.rules[i])
      rules[op_policy::name_of(i)] = op_policy::name_of(table_->rules[i]);
  }
  for (const auto& [name, rule] : table_->added) rules[name] = op_policy::name_of(rule);
  return op_policy::json{{"base", table_->base}, {"rules", rules}}.dump(2);
}

OpPolicy OpPolicy::from_json(const std::string& text) {
  const auto object = op_policy::parsed(text);
  for (const auto& [key, value] : object.items()) {
    if (key == "base" || key == "rules") continue;
    throw InvalidArgument("OpPolicy: a policy has no field '" + key + "'" +
                          text::suggestion(key, {"base", "rules"}));
  }
  if (!object.contains("base")) {
    throw InvalidArgument(
        "OpPolicy: a policy needs the field 'base': \"torch_cpu\", \"torch_cuda\", \"fast_cpu\", "
        "\"fast_cuda\" or \"unified\"");
  }
  OpPolicy policy(op_policy::list(op_policy::text_of(object.at("base"), "base")).table);
  const auto rules = object.value("rules", op_policy::json::object());
  if (!rules.is_object())
    throw InvalidArgument("OpPolicy: rules must be an object of op: rule, got " + rules.dump());
  for (const auto& [op, rule] : rules.items())
    policy.set(op, op_policy::rule_of(op_policy::text_of(rule, "the rule of " + op)));
  return policy;
}

}  // namespace amp
