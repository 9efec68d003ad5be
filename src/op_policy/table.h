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

// A name for this overload alone: "conv1d.default" beside "conv1d.padding".
std::string name_of(std::size_t number);

// As the dispatcher has it, without "aten::".
std::string full_name(const std::string& name, const std::string& overload);

// Whose call of an op that several kinds of module call it is, as its arguments tell.
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
};

}  // namespace amp::op_policy
