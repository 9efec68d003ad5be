// A policy as the engine reads it: a rule for each listed op, by its number, and what depends on the
// arguments of a call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amp/op_policy.h"
#include "src/op_policy/op_table.h"

namespace amp::op_policy {

enum Op : std::size_t {
#define AMP_OP(op, name, cpu, cuda) op_##op,
  AMP_AUTOCAST_OPS(AMP_OP)
#undef AMP_OP
      kOps
};

struct Listed {
  const char* name;  // without "aten::", with the overload
  CastRule cpu, cuda;
};

inline constexpr std::array<Listed, kOps> kListed = {{
#define AMP_OP(op, name, cpu, cuda) {name, CastRule::cpu, CastRule::cuda},
    AMP_AUTOCAST_OPS(AMP_OP)
#undef AMP_OP
}};

// What `fast` and `unified` put in the place of torch's rule `keep` (and of `promote`, if it is
// fp32_inside); `keep` if they leave torch's rule.
constexpr std::array<CastRule, kOps> completed_rules() {
  std::array<CastRule, kOps> rules = {};
  rules.fill(CastRule::keep);
#define AMP_COMPLETED_INSIDE(op, name, cpu, cuda) rules[op_##op] = CastRule::fp32_inside;
#define AMP_COMPLETED_MIXING(op, name, cpu, cuda) rules[op_##op] = CastRule::promote;
#define AMP_COMPLETED_LISTED(op) rules[op_##op] = CastRule::fp32_inside;
  AMP_INSIDE_OPS_1(AMP_COMPLETED_INSIDE)
  AMP_INSIDE_OPS_2(AMP_COMPLETED_INSIDE)
  AMP_INSIDE_OPS_3(AMP_COMPLETED_INSIDE)
  AMP_MIXING_OPS(AMP_COMPLETED_MIXING)
  AMP_LISTED_INSIDE(AMP_COMPLETED_LISTED)
#undef AMP_COMPLETED_INSIDE
#undef AMP_COMPLETED_MIXING
#undef AMP_COMPLETED_LISTED
  return rules;
}
inline constexpr auto kCompleted = completed_rules();

// Ops whose LibTorch kernels on the CPU round in between when their operands are low.
constexpr bool rounds_in_between(std::size_t number) {
  return number == op_addbmm || number == op_addmv || number == op_addr ||
         number == op_linalg_vecdot;
}
// Ops whose LibTorch kernels on the CPU compute in fp32 when fp32 weights are beside low precision.
constexpr bool reads_low_beside_fp32(std::size_t number) {
  return number == op_batch_norm || number == op_native_batch_norm || number == op_instance_norm ||
         number == op_native_group_norm;
}

// A name for this overload alone: "conv1d.default" beside "conv1d.padding".
std::string op_name(std::size_t number);

// As the dispatcher has it, without "aten::".
std::string full_name(const std::string& name, const std::string& overload);

// Which kind of module makes a call of an op that several kinds call. The arguments tell.
enum class Use : std::uint8_t {
  linear,
  conv1d,
  conv2d,
  conv3d,
  conv_transpose1d,
  conv_transpose2d,
  conv_transpose3d,
  attention_product,
  attention_softmax,
  kUses
};
inline constexpr auto kUses = static_cast<std::size_t>(Use::kUses);

struct NamedRule {
  std::string name;
  CastRule rule = CastRule::keep;
};

struct ModuleRule {
  std::string pattern;
  CastRule rule = CastRule::keep;
  bool operator==(const ModuleRule& other) const = default;
};

struct BoundModel;

struct Table {
  std::string base;
  std::array<CastRule, kOps> rules;
  std::map<std::string, CastRule> added;  // ops that torch does not list, by their full name
  std::map<std::string, CastRule> names;  // that users know and set
  std::array<std::optional<NamedRule>, kUses> uses;
  std::vector<ModuleRule> modules;  // of those that match a module the last holds
  std::shared_ptr<const BoundModel> model;
  bool reads_arguments = false;  // some rule depends on the arguments of a call, or its module

  // Whether products that LibTorch's CPU kernels round in between are computed in fp32 inside: torch's
  // own lists keep torch's bits.
  bool rounds_once() const { return !base.starts_with("torch"); }
};

}  // namespace amp::op_policy
