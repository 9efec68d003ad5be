// The names that users know ops by: those of the modules and functions that call them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "src/op_policy/table.h"

namespace amp::op_policy {

struct UserName {
  const char* name;
  std::vector<const char*> ops = {};  // beside the op of this name, if there is one
  std::vector<Use> uses = {};         // and of these ops the calls that the modules make
  const char* primary = "";           // the op whose rule the name's is; empty: that of this name
};

// Read from LibTorch 2.11's torch/nn/functional/*.h and torch/nn/modules/*.h: every module and function
// whose op has another name than it, or that calls more than one.
std::span<const UserName> user_names();
// Null for a name that stands for no more than the op of that name.
const UserName* user_name(const std::string& name);

// What a name stands for in this LibTorch.
struct Members {
  std::vector<std::size_t> numbers;  // listed ops
  std::vector<std::string> others;   // ops that are not listed, by their full names
  std::vector<Use> uses;
  bool empty() const { return numbers.empty() && others.empty(); }
  std::size_t size() const { return numbers.size() + others.size() + uses.size(); }
};
Members members_of(const std::string& name);

// The listed ops whose calls a use is among, and which of their calls it is, in words: "where the
// second operand is a parameter".
std::span<const Op> ops_of(Use use);
const char* described(Use use);

// The table's rules by name: the rule of all that the name stands for becomes `rule`.
void set_members(Table& table, const std::string& name, const Members& members, CastRule rule);
// The names that were set, those that stand for most first.
std::vector<std::string> set_names(const Table& table);

// The rule of a listed op where it is called by this use.
CastRule rule_of_use(const Table& table, Use use, Op op);
// Whether two tables give each call the same rule.
bool same_rules(const Table& a, const Table& b);

}  // namespace amp::op_policy
