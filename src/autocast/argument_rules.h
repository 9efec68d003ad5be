// Rules that depend on an op's arguments and on where it is called: those of modules, and those of
// the names that users know.
#pragma once

#include <ATen/Operators.h>

#include <optional>
#include <string>
#include <tuple>
#include <type_traits>

#include "src/autocast/log.h"
#include "src/autocast/region.h"

namespace amp::autocast {

struct Choice {
  CastRule rule = CastRule::keep;
  const std::string* name = nullptr;  // the module's pattern, or the name that users know
  bool is_module = false;

  std::string by() const { return is_module ? "module " + *name : *name; }  // CastCount's
};

// Rules by their numbers in Table::modules; of several, the last that was set holds, which has the
// largest number. The first function gives the rule of the scopes around this thread's ops. The
// second raises `rule` to that of the tensor, if that one is larger.
int rule_of_scopes(const op_policy::Table& table);
void raise_to_rule_of(const at::Tensor& tensor, const Region::Device& here, int& rule);

// Returns nothing for op_policy::kNoRule.
std::optional<Choice> choice_of_module(const op_policy::Table& table, int rule);
// Returns nothing if nobody set a name that has this use.
std::optional<Choice> choice_of_use(const op_policy::Table& table, op_policy::Use use);

// Whether the tensor is a parameter or a view of one, as OpPolicy says.
bool is_parameter(const at::Tensor& tensor, const Region::Device& here);

// Corrects the log, which has counted the call under the op's own rule.
void note_choice(Log& log, const std::string& op, CastRule own, const Choice& choice);

template <typename T>
void raise_to_rule_of_argument(const T& argument, const Region::Device& here, int& rule) {
  if constexpr (std::is_same_v<T, at::Tensor>) {
    raise_to_rule_of(argument, here, rule);
  } else if constexpr (std::is_same_v<T, std::optional<at::Tensor>>) {
    if (argument.has_value()) raise_to_rule_of(*argument, here, rule);
  } else if constexpr (std::is_same_v<T, at::TensorList> || std::is_same_v<T, at::ITensorListRef>) {
    for (const auto& tensor : argument) raise_to_rule_of(tensor, here, rule);
  }
}

template <typename AtOp, typename... Ops>
inline constexpr bool is_one_of = (std::is_same_v<AtOp, Ops> || ...);

// The choice by the name of the module or function whose call this is, if a name with this use was
// set.
template <typename AtOp, typename... Args>
std::optional<Choice> choice_by_name(const Region::Device& here, const Args&... args) {
  using op_policy::Use;
  const auto& table = *here.table;
  [[maybe_unused]] const auto all = std::tie(args...);
  if constexpr (is_one_of<AtOp, at::_ops::addmm, at::_ops::_addmm_activation>) {
    const auto choice = choice_of_use(table, Use::linear);
    if (choice.has_value() && is_parameter(std::get<2>(all), here)) return choice;
  } else if constexpr (is_one_of<AtOp, at::_ops::mm, at::_ops::matmul>) {
    const auto& second = std::get<1>(all);
    const auto choice = choice_of_use(table, Use::linear);
    if (choice.has_value() && is_parameter(second, here)) return choice;
    if (std::get<0>(all).dim() < 3 || second.dim() < 3) return std::nullopt;
    const auto product = choice_of_use(table, Use::attention_product);
    if (product.has_value() && !is_parameter(second, here) && !is_parameter(std::get<0>(all), here))
      return product;
  } else if constexpr (is_one_of<AtOp, at::_ops::bmm, at::_ops::baddbmm>) {
    constexpr std::size_t first = is_one_of<AtOp, at::_ops::baddbmm> ? 1 : 0;
    const auto choice = choice_of_use(table, Use::attention_product);
    if (choice.has_value() && !is_parameter(std::get<first>(all), here) &&
        !is_parameter(std::get<first + 1>(all), here))
      return choice;
  } else if constexpr (is_one_of<AtOp, at::_ops::softmax_int>) {
    if (std::get<0>(all).dim() >= 3) return choice_of_use(table, Use::attention_softmax);
  } else if constexpr (is_one_of<AtOp, at::_ops::convolution, at::_ops::_convolution,
                                 at::_ops::_convolution_deprecated>) {
    const auto dimensions = std::get<1>(all).dim() - 2;
    const bool transposed = std::get<6>(all);
    if (dimensions < 1 || dimensions > 3) return std::nullopt;
    const auto first = transposed ? Use::conv_transpose1d : Use::conv1d;
    return choice_of_use(table, static_cast<Use>(static_cast<int>(first) + dimensions - 1));
  }
  return std::nullopt;
}

// The rule of this call, if it is not the op's own. A module's rule goes before a name's.
template <typename AtOp, typename... Args>
std::optional<Choice> choice_by_arguments(const Region::Device& here, const Args&... args) {
  const auto& table = *here.table;
  if (!table.modules.empty()) {
    int rule = rule_of_scopes(table);
    if (table.model != nullptr) (raise_to_rule_of_argument(args, here, rule), ...);
    if (const auto choice = choice_of_module(table, rule); choice.has_value()) return choice;
  }
  return choice_by_name<AtOp>(here, args...);
}

}  // namespace amp::autocast
