// A region in which nothing is computed below a format.
#include "src/experiment/wide_mode.h"

#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace amp::experiment {
namespace {

// LibTorch leaves this key, above autograd and autocast, to modes of others; its own tests alone use it.
constexpr auto kKey = c10::DispatchKey::TESTING_ONLY_GenericMode;

thread_local c10::ScalarType wide_now = c10::ScalarType::Undefined;
thread_local const std::vector<std::string>* ops_now = nullptr;

// "exp" of "aten::exp" and of "aten::exp_".
bool is_chosen(std::string_view name) {
  if (ops_now == nullptr || ops_now->empty()) return true;
  name.remove_prefix(std::min(name.size(), name.find("::") + 2));
  return std::ranges::any_of(*ops_now, [&](const std::string& op) {
    return name == op || (name.ends_with('_') && name.substr(0, name.size() - 1) == op);
  });
}

bool is_narrow(c10::ScalarType dtype, c10::ScalarType wide) {
  return c10::isFloatingType(dtype) && c10::elementSize(dtype) < c10::elementSize(wide);
}

bool is_narrow(const at::Tensor& tensor, c10::ScalarType wide) {
  return tensor.defined() && is_narrow(tensor.scalar_type(), wide) && !tensor.is_nested();
}

at::Tensor widened(const at::Tensor& tensor, c10::ScalarType wide) {
  return is_narrow(tensor, wide) ? tensor.to(wide) : tensor;
}

void widen(c10::IValue& value, c10::ScalarType wide) {
  if (value.isTensor()) {
    if (is_narrow(value.toTensor(), wide)) value = widened(value.toTensor(), wide);
  } else if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(widened(tensor, wide));
    value = std::move(list);
  } else if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector())
      list.push_back(tensor.has_value() ? std::optional(widened(*tensor, wide)) : std::nullopt);
    value = std::move(list);
  }
}

bool is_dtype(const c10::Argument& argument) {
  return argument.real_type()->kind() == c10::TypeKind::ScalarTypeType ||
         argument.real_type()->str().find("ScalarType") != std::string::npos;
}

bool writes(const c10::Argument& argument) {
  return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
}

// What is about a tensor itself, and not about its numbers.
bool is_of_the_tensor(std::string_view name) {
  constexpr std::array kNames = {"aten::requires_grad_",
                                 "aten::set_",
                                 "aten::resize_",
                                 "aten::resize_as_",
                                 "aten::detach_",
                                 "aten::set_data",
                                 "aten::retain_grad",
                                 "aten::rename_",
                                 "aten::_backward",
                                 "aten::data",
                                 "aten::_version",
                                 "aten::is_leaf",
                                 "aten::output_nr",
                                 "aten::retains_grad",
                                 "aten::_fw_primal",
                                 "aten::record_stream",
                                 "aten::_local_scalar_dense"};
  return std::ranges::find(kNames, name) != kNames.end();
}

struct Written {
  at::Tensor tensor, wide;
};

// Replaces the arguments of a call; returns what is written in the place of narrower tensors.
std::vector<Written> widen_arguments(const c10::FunctionSchema& schema, torch::jit::Stack& stack,
                                     c10::ScalarType wide) {
  std::vector<Written> written;
  const auto begin = stack.size() - schema.arguments().size();
  for (std::size_t i = 0; i < schema.arguments().size(); ++i) {
    auto& value = stack[begin + i];
    const auto& argument = schema.arguments()[i];
    if (is_dtype(argument)) {
      if (value.isInt() && is_narrow(static_cast<c10::ScalarType>(value.toInt()), wide))
        value = static_cast<std::int64_t>(wide);
    } else if (!writes(argument)) {
      widen(value, wide);
    } else if (value.isTensor() && is_narrow(value.toTensor(), wide)) {
      const auto tensor = value.toTensor();
      written.push_back({tensor, tensor.to(wide)});
      value = written.back().wide;
    }
  }
  return written;
}

void call_wide(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::impl::ExcludeDispatchKeyGuard below(kKey);
  const auto& schema = op.schema();
  if (wide_now == c10::ScalarType::Undefined || is_of_the_tensor(schema.name()) ||
      !is_chosen(schema.name())) {
    op.callBoxed(stack);
    return;
  }
  const auto written = widen_arguments(schema, *stack, wide_now);
  op.callBoxed(stack);
  const auto begin = stack->size() - schema.returns().size();
  for (const auto& [tensor, wide] : written) {
    tensor.copy_(wide);
    for (auto i = begin; i < stack->size(); ++i) {
      auto& result = (*stack)[i];
      if (result.isTensor() && result.toTensor().is_same(wide)) result = tensor;
    }
  }
}

}  // namespace

WideMode::WideMode(c10::ScalarType wide, const std::vector<std::string>& ops)
    : before_(std::exchange(wide_now, wide)),
      ops_before_(std::exchange(ops_now, &ops)),
      included_(kKey) {}
WideMode::~WideMode() {
  wide_now = before_;
  ops_now = ops_before_;
}

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericMode, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&call_wide>());
}

}  // namespace amp::experiment
