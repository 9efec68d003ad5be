// A region in which nothing is computed below a format.
#include "src/experiment/wide_mode.h"

#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/enum_tag.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "src/cpu_math/single_copy.h"

namespace amp::experiment {
namespace {

// LibTorch leaves this key, above autograd and autocast, to modes of others. Only its own tests use
// it.
constexpr auto kKey = c10::DispatchKey::TESTING_ONLY_GenericMode;

thread_local const Widening* now = nullptr;
thread_local std::int64_t next_call = 0;  // of the present region

// "exp" of "aten::exp" and of "aten::exp_".
bool is_among(const std::vector<std::string>& ops, std::string_view name) {
  name.remove_prefix(std::min(name.size(), name.find("::") + 2));
  return std::ranges::any_of(ops, [&](const std::string& op) {
    return name == op || (name.ends_with('_') && name.substr(0, name.size() - 1) == op);
  });
}

bool is_below(c10::ScalarType dtype, c10::ScalarType wide) {
  return c10::isFloatingType(dtype) && c10::elementSize(dtype) < c10::elementSize(wide);
}

bool is_below(const at::Tensor& tensor, c10::ScalarType wide) {
  return tensor.defined() && is_below(tensor.scalar_type(), wide) && !tensor.is_nested();
}

at::Tensor widened(const at::Tensor& tensor, c10::ScalarType wide) {
  return is_below(tensor, wide) ? tensor.to(wide) : tensor;
}

void widen(c10::IValue& value, c10::ScalarType wide) {
  if (value.isTensor()) {
    if (is_below(value.toTensor(), wide)) value = widened(value.toTensor(), wide);
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

// Whether the op is about a tensor itself, and not about its numbers.
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

// Replaces the arguments of a call. Returns the tensors that are written in the place of those of
// lower precision.
std::vector<Written> widen_arguments(const c10::FunctionSchema& schema, torch::jit::Stack& stack,
                                     c10::ScalarType wide) {
  std::vector<Written> written;
  const auto begin = stack.size() - schema.arguments().size();
  for (std::size_t i = 0; i < schema.arguments().size(); ++i) {
    auto& value = stack[begin + i];
    const auto& argument = schema.arguments()[i];
    if (is_dtype(argument)) {
      if (value.isInt() && is_below(static_cast<c10::ScalarType>(value.toInt()), wide))
        value = static_cast<std::int64_t>(wide);
    } else if (!writes(argument)) {
      widen(value, wide);
    } else if (value.isTensor() && is_below(value.toTensor(), wide)) {
      const auto tensor = value.toTensor();
      written.push_back({tensor, tensor.to(wide)});
      value = written.back().wide;
    }
  }
  return written;
}

// Ops that add a constant, or use it as a bound or a filling.
bool takes_constants(std::string_view name) {
  constexpr std::array kNames = {"aten::add",         "aten::sub",       "aten::rsub",
                                 "aten::clamp",       "aten::clamp_min", "aten::where",
                                 "aten::masked_fill", "aten::full_like", "aten::threshold"};
  if (name.ends_with('_')) name.remove_suffix(1);
  return std::ranges::find(kNames, name) != kNames.end();
}

// Half of the smallest number: everything up to it rounds to zero.
double flushed_below(c10::ScalarType dtype) { return dtype == c10::kHalf ? 0x1p-25 : 0x1p-134; }

void note_constants(const c10::FunctionSchema& schema, const torch::jit::Stack& stack) {
  if (!takes_constants(schema.name())) return;
  const auto begin = stack.end() - static_cast<std::ptrdiff_t>(schema.arguments().size());
  const auto low = std::find_if(begin, stack.end(), [](const c10::IValue& value) {
    return value.isTensor() && is_below(value.toTensor(), c10::kFloat);
  });
  if (low == stack.end()) return;
  const double limit = flushed_below(low->toTensor().scalar_type());
  for (auto value = begin; value != stack.end(); ++value) {
    if (value->isDouble() && value->toDouble() != 0 && std::abs(value->toDouble()) < limit)
      now->flushed->emplace_back(schema.name().substr(schema.name().find("::") + 2),
                                 value->toDouble());
  }
}

void round_inputs(const c10::FunctionSchema& schema, torch::jit::Stack& stack) {
  const auto begin = stack.size() - schema.arguments().size();
  for (std::size_t i = 0; i < schema.arguments().size(); ++i) {
    auto& value = stack[begin + i];
    // The model may ask for the dtype of another tensor, which is wide here.
    if (is_dtype(schema.arguments()[i]) && value.isInt() &&
        c10::isFloatingType(static_cast<c10::ScalarType>(value.toInt())))
      value = static_cast<std::int64_t>(now->low);
    if (writes(schema.arguments()[i]) || !value.isTensor()) continue;
    const auto& tensor = value.toTensor();
    if (tensor.defined() && c10::isFloatingType(tensor.scalar_type()) && !tensor.is_nested())
      value = tensor.to(now->low);
  }
}

bool keeps_low(std::int64_t call) {
  return now->low != c10::ScalarType::Undefined && std::ranges::binary_search(now->low_calls, call);
}

// The first floating-point tensor among these; undefined: there is none.
at::Tensor first_in(torch::jit::Stack::const_iterator begin,
                    torch::jit::Stack::const_iterator end) {
  const auto is_float = [](const at::Tensor& tensor) {
    return tensor.defined() && c10::isFloatingType(tensor.scalar_type());
  };
  for (auto value = begin; value != end; ++value) {
    if (value->isTensor() && is_float(value->toTensor())) return value->toTensor();
    if (!value->isTensorList()) continue;
    for (const at::Tensor& tensor : value->toTensorVector()) {
      if (is_float(tensor)) return tensor;
    }
  }
  return {};
}

constexpr std::int64_t kSample = 4096;

at::Tensor sample_of(const at::Tensor& tensor) {
  const c10::NoGradGuard no_grad;
  if (tensor.layout() != c10::kStrided || tensor.is_nested() || tensor.numel() == 0) return {};
  const auto flat = tensor.detach().reshape(-1);
  return flat.slice(0, 0, std::nullopt, (flat.numel() + kSample - 1) / kSample)
      .to(c10::kFloat, /*non_blocking=*/false, /*copy=*/true);
}

std::string parameter_in(torch::jit::Stack::const_iterator begin,
                         torch::jit::Stack::const_iterator end) {
  if (!now->parameter_name) return {};
  std::string name;
  const auto look = [&](const at::Tensor& tensor) {
    if (name.empty() && tensor.defined()) name = now->parameter_name(tensor);
  };
  for (auto value = begin; value != end; ++value) {
    if (value->isTensor()) look(value->toTensor());
    if (!value->isTensorList()) continue;
    for (const at::Tensor& tensor : value->toTensorVector()) look(tensor);
  }
  return name;
}

// A result that is a view of an argument.
bool gives_view(const c10::FunctionSchema& schema) {
  return std::ranges::any_of(schema.returns(), [](const c10::Argument& result) {
    return result.alias_info() != nullptr && !result.alias_info()->isWrite();
  });
}

bool is_random(const c10::OperatorHandle& op) {
  return op.hasTag(at::Tag::nondeterministic_seeded);
}

// Draws numbers that do not depend on those it is given: randn, rand_like, normal_.
bool draws_alone(const c10::OperatorHandle& op) {
  if (!is_random(op)) return false;
  const auto& arguments = op.schema().arguments();
  const auto is_tensor = [](const c10::Argument& argument) {
    return argument.type()->kind() == c10::TypeKind::TensorType;
  };
  const auto tensors = std::ranges::count_if(arguments, is_tensor);
  return tensors == 0 || op.schema().name().ends_with("_like") ||
         (tensors == 1 && writes(arguments.front()));
}

// Draws in the dtype that the training drew in.
void call_drawing(const c10::OperatorHandle& op, torch::jit::Stack* stack, std::int64_t call) {
  const auto& arguments = op.schema().arguments();
  const auto begin = stack->size() - arguments.size();
  std::optional<c10::ScalarType> dtype;
  if (now->drawn != nullptr) {
    const auto known =
        std::ranges::find(*now->drawn, call, &std::pair<std::int64_t, c10::ScalarType>::first);
    if (known != now->drawn->end()) dtype = known->second;
  }
  if (dtype.has_value() && !arguments.empty() && writes(arguments.front())) {
    const auto self = (*stack)[begin].toTensor();
    const auto drawn = at::empty_like(self, self.options().dtype(*dtype));
    (*stack)[begin] = drawn;
    op.callBoxed(stack);
    const c10::NoGradGuard no_grad;
    self.copy_(drawn);
    stack->back() = self;
    return;
  }
  for (std::size_t i = 0; dtype.has_value() && i < arguments.size(); ++i) {
    if (is_dtype(arguments[i])) (*stack)[begin + i] = static_cast<std::int64_t>(*dtype);
  }
  op.callBoxed(stack);
  const auto results = static_cast<std::ptrdiff_t>(op.schema().returns().size());
  for (auto result = stack->end() - results; result != stack->end(); ++result)
    widen(*result, now->wide);
}

void call_widened(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto written = widen_arguments(schema, *stack, now->wide);
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

void compute(const c10::OperatorHandle& op, torch::jit::Stack* stack, std::int64_t call) {
  if (keeps_low(call)) {
    round_inputs(op.schema(), *stack);
    return op.callBoxed(stack);
  }
  const bool is_chosen = now->ops.empty() || is_among(now->ops, op.schema().name());
  if (now->wide == c10::ScalarType::Undefined || !is_chosen) return op.callBoxed(stack);
  if (draws_alone(op)) return call_drawing(op, stack, call);
  call_widened(op, stack);
}

void compute_noted(const c10::OperatorHandle& op, torch::jit::Stack* stack, std::int64_t call) {
  const auto& schema = op.schema();
  const auto begin = stack->cend() - static_cast<std::ptrdiff_t>(schema.arguments().size());
  const auto given = first_in(begin, stack->cend());
  const auto given_dtype = given.defined() ? given.scalar_type() : c10::ScalarType::Undefined;
  auto parameter = parameter_in(begin, stack->cend());
  compute(op, stack, call);
  const auto gave =
      first_in(stack->cend() - static_cast<std::ptrdiff_t>(schema.returns().size()), stack->cend());
  const bool is_view = gives_view(schema) && gave.defined() && gave.scalar_type() == given_dtype;
  const bool gave_low = gave.defined() && is_below(gave, c10::kFloat) && !is_view;
  const auto& name = schema.name();
  now->calls->push_back({name.substr(name.find("::") + 2), std::move(parameter),
                         gave.defined() ? gave.scalar_type() : c10::ScalarType::Undefined, gave_low,
                         is_view, is_random(op), gave.defined() ? sample_of(gave) : at::Tensor()});
}

void call_wide(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::impl::ExcludeDispatchKeyGuard below(kKey);
  if (now == nullptr || is_of_the_tensor(op.schema().name())) return op.callBoxed(stack);
  if (now->flushed != nullptr) note_constants(op.schema(), *stack);
  const auto call = next_call++;
  if (now->calls != nullptr) return compute_noted(op, stack, call);
  compute(op, stack, call);
}

// Puts the mode on its key when it is first needed, so a process without experiments leaves the key
// to others. Throws StateError if another library has it.
void register_mode() {
  cpu_math::check_single_copy();
  static const auto* library = [] {
    auto mode =
        std::make_unique<torch::Library>(torch::Library::IMPL, "_", kKey, __FILE__, __LINE__);
    try {
      mode->fallback(torch::CppFunction::makeFromBoxedFunction<&call_wide>());
    } catch (const c10::Error&) {
      throw StateError(
          "Experiment: another library of this process has a kernel for the dispatch key "
          "TESTING_ONLY_GenericMode, which replays in fp32 need; load one of the two");
    }
    return mode.release();
  }();
  static_cast<void>(library);
}

const Widening* enter(const Widening& widening) {
  register_mode();
  return std::exchange(now, &widening);
}

}  // namespace

WideMode::WideMode(const Widening& widening)
    : before_(enter(widening)), call_before_(std::exchange(next_call, 0)), included_(kKey) {}
WideMode::~WideMode() {
  now = before_;
  next_call = call_before_;
}

}  // namespace amp::experiment
