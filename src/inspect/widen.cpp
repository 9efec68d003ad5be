// An op computed again in a wider format.
#include "src/inspect/widen.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/enum_tag.h>
#include <ATen/record_function.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <exception>

#include "src/inspect/quiet.h"
#include "src/inspect/summary.h"

namespace amp::inspect {
namespace {

// A copy always: the op may write to it.
at::Tensor widened(const at::Tensor& tensor, c10::ScalarType wide) {
  if (!tensor.defined() || !tensor.is_floating_point())
    return tensor.defined() ? tensor.clone() : tensor;
  return tensor.detach().to(wide, /*non_blocking=*/false, /*copy=*/true);
}

c10::IValue widened(const c10::IValue& value, c10::ScalarType wide) {
  if (value.isTensor()) return widened(value.toTensor(), wide);
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(widened(tensor, wide));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector())
      list.push_back(tensor.has_value() ? std::optional(widened(*tensor, wide)) : std::nullopt);
    return list;
  }
  return value;
}

// A dropout, or what has one inside, that leaves all as it is.
bool draws_nothing(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& arguments) {
  const auto& formal = schema.arguments();
  for (std::size_t i = 0; i < std::min(arguments.size(), formal.size()); ++i) {
    const auto& name = formal[i].name();
    if ((name == "p" || name == "dropout" || name == "dropout_p") && arguments[i].isDouble() &&
        arguments[i].toDouble() == 0)
      return true;
    if (name == "train" && arguments[i].isBool() && !arguments[i].toBool()) return true;
  }
  return false;
}

// What is asked for by dtype, and softmax's flag for a wider result.
void widen_wishes(const c10::FunctionSchema& schema, std::vector<c10::IValue>& arguments,
                  c10::ScalarType wide) {
  const auto& formal = schema.arguments();
  for (std::size_t i = 0; i < std::min(arguments.size(), formal.size()); ++i) {
    const bool is_dtype = formal[i].real_type()->str().find("ScalarType") != std::string::npos;
    if (is_dtype && arguments[i].isInt() &&
        c10::isFloatingType(static_cast<c10::ScalarType>(arguments[i].toInt())))
      arguments[i] = c10::IValue(static_cast<std::int64_t>(wide));
    if (formal[i].name() == "half_to_float") arguments[i] = c10::IValue(false);
  }
}

void take(WideResult& result, const at::Tensor& output) {
  if (!output.defined()) return;  // a gradient that was not asked for
  result.outputs.push_back(output);
  if (!has_numbers(output)) return;
  if (output.scalar_type() != c10::kDouble) {
    const auto seen = statistics(output);
    result.finite &= seen.infs + seen.nans == 0;
    result.amax = std::max(result.amax, seen.amax);
    return;
  }
  // Beyond fp32's range, which the statistics take everything in.
  const auto finite = output.isfinite();
  result.finite &= finite.all().item<bool>();
  const auto largest = output.abs().masked_fill_(finite.logical_not(), 0).max().item<double>();
  result.amax = std::max(result.amax, largest);
}

}  // namespace

bool draws_random(const c10::OperatorName& op, const std::vector<c10::IValue>& arguments) {
  const auto handle = c10::Dispatcher::singleton().findSchema(op);
  return handle.has_value() && handle->hasTag(at::Tag::nondeterministic_seeded) &&
         !draws_nothing(handle->schema(), arguments);
}

WideResult evaluate_wide(const c10::OperatorName& op, std::vector<c10::IValue> arguments,
                         c10::ScalarType wide) {
  const Quiet quiet;
  const auto handle = c10::Dispatcher::singleton().findSchema(op);
  if (!handle.has_value() || draws_random(op, arguments)) return {};
  WideResult found{true, true};
  try {
    for (auto& argument : arguments) argument = widened(argument, wide);
    widen_wishes(handle->schema(), arguments, wide);
    handle->callBoxed(&arguments);
    for (const auto& output : arguments) {
      if (output.isTensor()) take(found, output.toTensor());
      if (output.isTensorList()) {
        for (const auto& tensor : output.toTensorVector()) take(found, tensor);
      }
    }
  } catch (const std::exception&) {
    return {};  // no kernel for these dtypes: nothing is known
  }
  return found;
}

c10::ScalarType with_more_range(c10::ScalarType dtype) {
  return dtype == c10::kHalf ? c10::kFloat : c10::kDouble;
}

double flushed_share(const at::Tensor& narrow, const at::Tensor& wide) {
  const Quiet quiet;
  const auto kept = wide.ne(0);
  const auto there = kept.sum().item<std::int64_t>();
  if (there == 0) return 0;
  const auto lost = kept.logical_and_(narrow.eq(0)).sum().item<std::int64_t>();
  return static_cast<double>(lost) / static_cast<double>(there);
}

}  // namespace amp::inspect
