// OpPolicy: lists, names and edits.
#include "amp/op_policy.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "amp/error.h"
#include "src/op_policy/lists.h"
#include "src/op_policy/rule_names.h"
#include "src/op_policy/table.h"
#include "src/text/suggest.h"

namespace amp {
namespace op_policy {
namespace {

// A name as a user writes it: without "aten::", perhaps without an overload. The overload that has
// no name is called "default".
struct Name {
  std::string base, overload;
  bool has_overload = false;
};

Name parsed(std::string text) {
  if (text.starts_with("aten::")) text.erase(0, 6);
  const auto dot = text.find('.', text.find("::") == std::string::npos ? 0 : text.find("::"));
  if (dot == std::string::npos) return {text, "", false};
  const auto overload = text.substr(dot + 1);
  return {text.substr(0, dot), overload == "default" ? "" : overload, true};
}

// With its namespace, as the dispatcher has it.
std::string qualified(const std::string& base) {
  return base.find("::") == std::string::npos ? "aten::" + base : base;
}

std::string full(const std::string& base, const std::string& overload) {
  return overload.empty() ? base : base + "." + overload;
}

std::vector<std::string> listed_bases() {
  std::vector<std::string> bases;
  for (const auto& op : kListed) bases.push_back(parsed(op.name).base);
  std::ranges::sort(bases);
  bases.erase(std::ranges::unique(bases).begin(), bases.end());
  return bases;
}

bool stands_for(const Name& name, const std::string& op) {
  const auto other = parsed(op);
  return other.base == name.base && (!name.has_overload || other.overload == name.overload);
}

[[noreturn]] void refuse_unknown(const std::string& op) {
  auto near = text::suggestion(parsed(op).base, listed_bases());
  if (near.size() > 100) near = "; OpPolicy::ops() lists those that torch's autocast knows";
  throw InvalidArgument("OpPolicy: there is no op '" + op + "'" + near);
}

// The listed ops that a name stands for.
std::vector<std::size_t> listed(const Name& name) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < kOps; ++i) {
    if (stands_for(name, kListed[i].name)) found.push_back(i);
  }
  return found;
}

enum class Writes { nothing, an_argument };

// The overloads of an op that is not listed, by their full names. Those that write to an argument are
// never cast.
std::vector<std::string> unlisted(const Name& name, Writes writes = Writes::nothing) {
  std::vector<std::string> found;
  const auto wanted = qualified(name.base);
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& op : dispatcher.getAllOpNames()) {
    if (op.name != wanted || (name.has_overload && op.overload_name != name.overload)) continue;
    const auto schema = dispatcher.findSchema(op);
    if (schema.has_value() && schema->schema().is_mutable() == (writes == Writes::an_argument))
      found.push_back(full(name.base, op.overload_name));
  }
  std::ranges::sort(found);
  return found;
}

bool takes_dtype(const std::string& op) {
  const auto name = parsed(op);
  const auto schema =
      c10::Dispatcher::singleton().findSchema({qualified(name.base), name.overload});
  if (!schema.has_value()) return false;
  return std::ranges::any_of(schema->schema().arguments(),
                             [](const auto& argument) { return argument.name() == "dtype"; });
}

void check_rule(const std::string& op, CastRule rule, bool is_listed) {
  if (rule == CastRule::fp32_inside && !can_follow_fp32_inside(op)) {
    throw InvalidArgument("OpPolicy: " + op +
                          " cannot follow fp32_inside, because it is not known to compute in fp32 "
                          "when it reads less; use fp32");
  }
  const bool writes = parsed(op).base.ends_with('_');
  if (is_listed && writes && rule != CastRule::fp32_inside && rule != CastRule::promote &&
      rule != CastRule::keep && rule != CastRule::banned) {
    throw InvalidArgument("OpPolicy: " + op + " cannot follow " + name_of(rule) +
                          ", because what it writes keeps its dtype; use fp32_inside or promote");
  }
  const bool is_norm =
      op == "norm.Scalar" || op == "norm.ScalarOpt_dim" || op == "norm.names_ScalarOpt_dim";
  if (rule == CastRule::fp32_append_dtype && !is_norm) {
    throw InvalidArgument("OpPolicy: " + op +
                          " cannot follow fp32_append_dtype, which is norm's alone; use fp32");
  }
  if (rule == CastRule::fp32_set_opt_dtype && !(is_listed && takes_dtype(op))) {
    throw InvalidArgument("OpPolicy: " + op +
                          " cannot follow fp32_set_opt_dtype, because it has no argument dtype= "
                          "that autocast could set; use fp32");
  }
}

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

std::string explained(const std::string& op, CastRule rule, std::optional<CastRule> base_rule,
                      const std::string& base) {
  std::string text = op + ": " + name_of(rule) + " (" + meaning(rule) + "), ";
  if (!base_rule.has_value()) return text + "set by hand; torch lists it nowhere";
  if (rule != *base_rule)
    return text + "set by hand; " + list(base).described + " says " + name_of(*base_rule);
  if (rule == CastRule::keep) return text + "because " + list(base).described + " does not name it";
  return text + "by " + list(base).described;
}

}  // namespace

std::string full_name(const std::string& name, const std::string& overload) {
  return full(name.starts_with("aten::") ? name.substr(6) : name, overload);
}

std::string name_of(std::size_t number) {
  const auto name = parsed(kListed[number].name);
  const bool alone = listed({name.base, "", false}).size() == 1;
  return name.overload.empty() && !alone ? name.base + ".default" : kListed[number].name;
}

}  // namespace op_policy

using op_policy::kListed;
using op_policy::kOps;

OpPolicy::OpPolicy(std::shared_ptr<const op_policy::Table> table) : table_(std::move(table)) {}

namespace {

void check_device(c10::DeviceType device) {
  if (device == c10::DeviceType::CPU || device == c10::DeviceType::CUDA) return;
  throw UnsupportedError("OpPolicy: the lists here are those of CPU and CUDA, got " +
                         c10::DeviceTypeName(device, /*lower_case=*/true));
}

}  // namespace

OpPolicy OpPolicy::torch(c10::DeviceType device) {
  check_device(device);
  return OpPolicy(op_policy::torch_list(device).table);
}
OpPolicy OpPolicy::fast(c10::DeviceType device) {
  check_device(device);
  return OpPolicy(op_policy::fast_list(device).table);
}
OpPolicy OpPolicy::unified() { return OpPolicy(op_policy::list("unified").table); }

OpPolicy& OpPolicy::set(const std::string& op, CastRule rule) {
  const auto name = op_policy::parsed(op);
  const auto numbers = op_policy::listed(name);
  const auto others = numbers.empty() ? op_policy::unlisted(name) : std::vector<std::string>();
  if (numbers.empty() && others.empty()) op_policy::refuse_unknown(op);
  for (const auto number : numbers) op_policy::check_rule(kListed[number].name, rule, true);
  for (const auto& other : others) op_policy::check_rule(other, rule, false);
  auto edited = std::make_shared<op_policy::Table>(*table_);
  for (const auto number : numbers) edited->rules[number] = rule;
  for (const auto& other : others) {
    if (rule == CastRule::keep) {
      edited->added.erase(other);
    } else {
      edited->added[other] = rule;
    }
  }
  table_ = std::move(edited);
  return *this;
}

CastRule OpPolicy::rule(const std::string& op) const {
  const auto name = op_policy::parsed(op);
  std::optional<CastRule> found;
  const auto meet = [&](CastRule rule) {
    if (found.value_or(rule) != rule) {
      throw InvalidArgument("OpPolicy: the overloads of '" + op +
                            "' have different rules; name one of them:\n" + explain(op));
    }
    found = rule;
  };
  for (const auto number : op_policy::listed(name)) meet(table_->rules[number]);
  if (found.has_value()) return *found;
  for (const auto& other : op_policy::unlisted(name)) {
    const auto place = table_->added.find(other);
    meet(place == table_->added.end() ? CastRule::keep : place->second);
  }
  if (found.has_value()) return *found;
  if (op_policy::unlisted(name, op_policy::Writes::an_argument).empty())
    op_policy::refuse_unknown(op);
  return CastRule::keep;
}

std::string OpPolicy::explain(const std::string& op) const {
  const auto name = op_policy::parsed(op);
  std::string text;
  const auto add = [&](const std::string& line) { text += (text.empty() ? "" : "\n") + line; };
  const auto& base = *op_policy::list(table_->base).table;
  const auto numbers = op_policy::listed(name);
  for (const auto number : numbers) {
    add(op_policy::explained(op_policy::name_of(number), table_->rules[number], base.rules[number],
                             table_->base));
  }
  if (!numbers.empty()) return text;
  for (const auto& other : op_policy::unlisted(name)) {
    const auto place = table_->added.find(other);
    add(place == table_->added.end()
            ? op_policy::explained(other, CastRule::keep, CastRule::keep, table_->base)
            : op_policy::explained(other, place->second, std::nullopt, table_->base));
  }
  if (!text.empty()) return text;
  for (const auto& other : op_policy::unlisted(name, op_policy::Writes::an_argument))
    add(other +
        ": keep (it runs in the dtype it is given), because in-place and out= variants are "
        "never cast");
  if (text.empty()) op_policy::refuse_unknown(op);
  return text;
}

std::string OpPolicy::name() const {
  const auto& base = *op_policy::list(table_->base).table;
  const bool edited = table_->rules != base.rules || !table_->added.empty();
  return table_->base + (edited ? ", edited" : "");
}

bool OpPolicy::operator==(const OpPolicy& other) const {
  return table_ == other.table_ ||
         (table_->rules == other.table_->rules && table_->added == other.table_->added);
}

std::vector<std::string> OpPolicy::ops() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kOps; ++i) names.push_back(op_policy::name_of(i));
  std::ranges::sort(names);
  return names;
}

}  // namespace amp
