// Ops that compute in a wider dtype than they are given: a thin kernel for each, and one that does it.
#pragma once

#include <ATen/core/boxing/KernelFunction.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cmath>
#include <type_traits>

#include "src/autocast/kernels.h"
#include "src/autocast/log.h"

namespace amp::autocast {

// What `promote` and `fp32_inside` do where LibTorch's kernel would refuse the dtypes or round in between.
//
// promote: every eligible tensor is cast to the widest of their dtypes; the ops that this one is
// made of follow their own rules. In an in-place op the others are cast to the dtype of the tensor
// that it writes. fp32_inside: all are cast to fp32, the ops inside compute in that, and results
// that come in fp32 are rounded once to the widest dtype that the op was given. What an in-place op
// writes is widened, computed with and copied back, rounded once: it stays the same tensor with the
// same dtype, in autograd, too. lower_precision, for ops that round in between: operands are
// rounded to the region's dtype, then as fp32_inside.
//
// An op with an argument `accumulate` moves values, by promote, unless it is true.
//
// Takes the op's arguments from the stack and leaves its results there.
void compute_inside(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
                    torch::jit::Stack* stack);

// Whether the argument is a number that fits into low precision exactly, so that a kernel may round
// it to its operands' dtype.
template <typename T>
bool is_exact_factor(const T& argument) {
  if constexpr (std::is_same_v<T, at::Scalar>) {
    if (argument.isComplex()) return true;
    const auto value = argument.toDouble();
    return std::abs(value) <= 256 &&
           static_cast<double>(c10::BFloat16(static_cast<float>(value))) == value;
  }
  return true;
}

// Ops that round in between only because of a scalar argument. In most calls it is absent or 1.
constexpr bool rounds_numbers(std::size_t number) {
  using namespace op_policy;
  return number == op_add_Tensor || number == op_add__Tensor || number == op_sub_Tensor ||
         number == op_sub_Scalar || number == op_sub__Tensor || number == op_rsub_Tensor ||
         number == op_add__Scalar || number == op_sub__Scalar || number == op_mul__Scalar;
}

// Whether a rule has anything to do for these arguments: promote if their dtypes differ,
// fp32_inside if one is in low precision.
template <op_policy::Op number, typename... Args>
bool has_work(CastRule rule, c10::DeviceType device, const Args&... args) {
  if constexpr (rounds_numbers(number)) {
    if ((is_exact_factor(args) && ...)) return false;
  }
  Widest widest(device);
  (widest.meet(args), ...);
  if (op_policy::reads_low_beside_fp32(number) && device == c10::DeviceType::CPU &&
      widest.low_beside_fp32())
    return false;
  return rule == CastRule::promote ? widest.mixed() : widest.any_low();
}

template <typename AtOp, op_policy::Op number, typename Ret, typename... Args>
struct InsideKernel<AtOp, number, Ret(Args...)> {
  static Ret run(c10::DispatchKeySet keys, Args... args) {
    const auto device = device_of(keys);
    const auto* region = current_region();
    const auto* table = region == nullptr ? nullptr : region->of(device).table.get();
    if (table != nullptr && table->reads_arguments)  // a module's rule may hold
      return widened(keys, static_cast<Args>(args)...);
    const auto rule = table == nullptr ? CastRule::keep : table->rules[number];
    const bool may_pass = rule == CastRule::promote || rule == CastRule::fp32_inside;
    if (rule == CastRule::keep)
      return AtOp::redispatch(keys & keys_after(device), static_cast<Args>(args)...);
    if (may_pass && !has_work<number>(rule, device, args...)) {
      if (region->log != nullptr) region->log->call(op_policy::op_name(number), rule);
      if (rule == CastRule::promote)
        return AtOp::redispatch(keys & keys_after(device), static_cast<Args>(args)...);
      const c10::impl::ExcludeDispatchKeyGuard no_autocast(key_of(device));
      return AtOp::redispatch(keys & keys_after(device), static_cast<Args>(args)...);
    }
    return widened(keys, static_cast<Args>(args)...);
  }
  static Ret widened(c10::DispatchKeySet keys, Args... args) {
    static const auto kernel = c10::BoxedKernel::makeFromFunction<&compute_inside>();
    static const auto op =
        c10::Dispatcher::singleton().findSchemaOrThrow(AtOp::name, AtOp::overload_name);
    return c10::impl::BoxedKernelWrapper<Ret(Args...)>::call(kernel, op, keys,
                                                             static_cast<Args>(args)...);
  }
};

#define AMP_REGISTER_INSIDE(op, name, cpu_rule, cuda_rule)                                         \
  cpu.impl(name,                                                                                   \
           TORCH_FN((InsideKernel<at::_ops::op, op_policy::op_##op, at::_ops::op::schema>::run))); \
  cuda.impl(                                                                                       \
      name,                                                                                        \
      TORCH_FN((InsideKernel<at::_ops::op, op_policy::op_##op, at::_ops::op::schema>::run)));

}  // namespace amp::autocast
