// A policy as the engine reads it: a rule for each listed op, by its number.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <string>

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

struct Table {
  std::string base;
  std::array<CastRule, kOps> rules;
  std::map<std::string, CastRule> added;  // ops that torch does not list, by their full name
};

}  // namespace amp::op_policy
