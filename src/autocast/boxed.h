// Ops by their boxed arguments.
#pragma once

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <string>

#include "src/autocast/kernels.h"

namespace amp::autocast {

// Calls act(tensor) for each tensor of an argument.
template <typename Act>
void for_each_tensor(const c10::IValue& argument, Act&& act) {
  if (argument.isTensor()) {
    act(argument.toTensor());
  } else if (argument.isTensorList()) {
    for (const auto& tensor : argument.toTensorVector()) act(tensor);
  } else if (argument.isOptionalTensorList()) {
    for (const std::optional<at::Tensor>& tensor : argument.toOptionalTensorList())
      if (tensor.has_value()) act(*tensor);
  }
}

// Casts the tensors of an argument.
inline void cast_in_place(const Casts& casts, c10::IValue& argument) {
  if (argument.isTensor()) {
    argument = casts(argument.toTensor());
  } else if (argument.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const auto& tensor : argument.toTensorVector()) list.push_back(casts(tensor));
    argument = list;
  } else if (argument.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& tensor : argument.toOptionalTensorList())
      list.push_back(tensor.has_value() ? std::optional(casts(*tensor)) : std::nullopt);
    argument = list;
  }
}

// The rule for modules that holds for the arguments of a call, the last values on the stack, or
// nothing.
std::optional<Choice> choice_of_arguments(const c10::FunctionSchema& schema,
                                          const Region::Device& here,
                                          const torch::jit::Stack& stack);

// Calls an op under one of the rules that cast its arguments; lower_precision uses the region's
// emulated format if there is one. Throws if the rule is `banned`. name: the op's name in a
// CastLog. choice: where the rule comes from, if it is not the op's own.
void cast_and_call(const c10::OperatorHandle& op, torch::jit::Stack* stack, c10::DeviceType device,
                   CastRule rule, const std::string& name,
                   const std::optional<Choice>& choice = {});

}  // namespace amp::autocast
