// OpPolicy: edits of a policy, and questions about it.
#include "amp/op_policy.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "amp/error.h"
#include "src/op_policy/lists.h"
#include "src/op_policy/op_names.h"
#include "src/op_policy/rule_names.h"
#include "src/op_policy/table.h"
#include "src/op_policy/user_names.h"

namespace amp {
namespace op_policy {
namespace {

void check_rule(const std::string& op, CastRule rule, bool is_listed) {
  if (rule == CastRule::fp32_inside && !can_follow_fp32_inside(op)) {
    throw InvalidArgument("OpPolicy: " + op +
                          " cannot follow fp32_inside, because it is not known to compute in fp32 "
                          "when it reads less; use fp32");
  }
  const bool writes = parsed(op).base.ends_with('_');
  if (is_listed && writes && rule != CastRule::fp32_inside && rule != CastRule::promote &&
      rule != CastRule::keep && rule != CastRule::banned) {
    throw InvalidArgument("OpPolicy: " + op + " cannot follow " + rule_name(rule) +
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

}  // namespace
}  // namespace op_policy

using op_policy::kListed;
using op_policy::kOps;

OpPolicy::OpPolicy(std::shared_ptr<const op_policy::Table> table) : table_(std::move(table)) {}

namespace {

// Whether a list of torch's has a rule for it.
bool is_torchs(std::size_t number) {
  return kListed[number].cpu != CastRule::keep || kListed[number].cuda != CastRule::keep;
}

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
  const auto members = op_policy::members_of(op);
  if (members.empty()) op_policy::refuse_unknown(op);
  for (const auto number : members.numbers) op_policy::check_rule(kListed[number].name, rule, true);
  for (const auto& other : members.others) op_policy::check_rule(other, rule, false);
  const auto name = op_policy::parsed(op);
  auto edited = std::make_shared<op_policy::Table>(*table_);
  op_policy::set_members(*edited, name.has_overload ? op : name.base, members, rule);
  edited->reads_arguments |= !members.uses.empty();
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
  // Of an op that torch lists, overloads that only complete torch's lists say nothing of the others.
  for (const bool of_torch : {true, false}) {
    for (const auto number : op_policy::listed(name))
      if (is_torchs(number) == of_torch) meet(table_->rules[number]);
    if (found.has_value()) return *found;
  }
  for (const auto& other : op_policy::unlisted(name)) {
    const auto place = table_->added.find(other);
    meet(place == table_->added.end() ? CastRule::keep : place->second);
  }
  if (found.has_value()) return *found;
  if (const auto* known = name.has_overload ? nullptr : op_policy::user_name(name.base)) {
    const auto set = table_->names.find(known->name);
    return set == table_->names.end() ? this->rule(known->primary) : set->second;
  }
  if (op_policy::unlisted(name, op_policy::Writes::an_argument).empty())
    op_policy::refuse_unknown(op);
  return CastRule::keep;
}

std::string OpPolicy::name() const {
  const auto& base = *op_policy::list(table_->base).table;
  const bool edited = !op_policy::same_rules(*table_, base);
  return table_->base + (edited ? ", edited" : "");
}

bool OpPolicy::operator==(const OpPolicy& other) const {
  return table_ == other.table_ || op_policy::same_rules(*table_, *other.table_);
}

std::vector<std::string> OpPolicy::ops() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kOps; ++i) names.push_back(op_policy::op_name(i));
  std::ranges::sort(names);
  return names;
}

}  // namespace amp
