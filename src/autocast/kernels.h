// One kernel for each listed op and device: reads the rule, casts the arguments, passes the op on.
#pragma once

#include <ATen/autocast_mode.h>
#include <torch/library.h>

#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "src/autocast/argument_rules.h"
#include "src/autocast/casts.h"
#include "src/autocast/emulation.h"
#include "src/autocast/log.h"
#include "src/autocast/own_kernel.h"
#include "src/autocast/region.h"

namespace amp::autocast {

// Throws UnsupportedError that names the op and what to use instead.
[[noreturn]] void refuse_banned(const char* op);

// dtype= as fp32_set_opt_dtype has it.
template <typename T>
decltype(auto) with_dtype(T&& argument) {
  if constexpr (std::is_same_v<std::remove_cvref_t<T>, std::optional<c10::ScalarType>>) {
    return std::optional(argument.value_or(c10::kFloat));
  } else {
    return static_cast<T&&>(argument);
  }
}

inline c10::ScalarType first_dtype(c10::DeviceType) { return kAsItIs; }
template <typename First, typename... Rest>
c10::ScalarType first_dtype(c10::DeviceType device, const First& first, const Rest&...) {
  if constexpr (std::is_same_v<First, at::Tensor>) {
    if (at::autocast::is_eligible(first, device)) return first.scalar_type();
  }
  return kAsItIs;
}

// The dtype that a rule casts to.
template <typename... Args>
c10::ScalarType target(CastRule rule, c10::DeviceType device, const Args&... args) {
  switch (rule) {
    case CastRule::lower_precision:
      return at::autocast::get_autocast_dtype(device);
    case CastRule::fp32:
      return c10::kFloat;
    case CastRule::promote: {
      Widest widest(device);
      (widest.meet(args), ...);
      return widest.dtype();
    }
    case CastRule::fp32_inside:
      // The CPU's kernels take fp32 weights beside low-precision inputs, CUDA's do not.
      return device == c10::DeviceType::CPU ? kAsItIs : first_dtype(device, args...);
    default:
      return kAsItIs;
  }
}

// What a region does by a rule instead of casting; null where it casts.
inline const Emulation* emulation_of(const Region* region, c10::DeviceType device, CastRule rule) {
  if (region == nullptr || rule != CastRule::lower_precision) return nullptr;
  const auto& emulate = region->of(device).emulate;
  return emulate.has_value() ? &*emulate : nullptr;
}

template <typename... Args>
bool is_mix_for_no_kernel(c10::DeviceType device, const Args&... args) {
  Widest widest(device);
  (widest.meet(args), ...);
  return widest.mixed() && !widest.low_beside_fp32();
}

// Computes in a wider dtype than it is given (inside.h).
template <typename AtOp, op_policy::Op number, typename Schema>
struct InsideKernel;

template <typename AtOp, op_policy::Op number, typename Schema>
struct Kernel;

template <typename AtOp, op_policy::Op number, typename Ret, typename... Args>
struct Kernel<AtOp, number, Ret(Args...)> {
  using Own = OwnKernel<AtOp>;

  static Ret run(c10::DispatchKeySet keys, Args... args) {
    const auto device = device_of(keys);
    const auto* region = current_region();
    const auto* table = region == nullptr ? nullptr : region->of(device).table.get();
    auto rule = table == nullptr ? listed_rule(device) : table->rules[number];
    std::optional<Choice> choice;
    if (table != nullptr && table->reads_arguments) {
      choice = choice_by_arguments<AtOp>(region->of(device), args...);
      if (choice.has_value()) rule = choice->rule;
    }
    if constexpr (op_policy::kCompleted[number] != CastRule::keep) {
      if (rule == CastRule::fp32_inside)
        return InsideKernel<AtOp, number, Ret(Args...)>::run(keys, static_cast<Args>(args)...);
    }
    if constexpr (op_policy::rounds_in_between(number)) {
      if (device == c10::DeviceType::CPU && rule == CastRule::lower_precision && table != nullptr &&
          table->rounds_once() && !region->of(device).emulate.has_value())
        return InsideKernel<AtOp, number, Ret(Args...)>::widened(keys, static_cast<Args>(args)...);
    }
    if (choice.has_value() && region->log != nullptr)
      note_choice(*region->log, op_policy::op_name(number), table->rules[number], *choice);
    const auto given = rule;
    rule = Own::rule(rule, device, region, args...);
    if (Own::lets_dtypes_mix && rule == CastRule::fp32_inside && device == c10::DeviceType::CPU &&
        is_mix_for_no_kernel(device, args...))
      rule = CastRule::promote;
    // As LibTorch's fallthrough: the ops inside a composite one are still cast.
    if (rule == CastRule::keep)
      return pass_on(keys, device, given, table != nullptr, static_cast<Args>(args)...);
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(key_of(device));
    Casts casts{target(rule, device, args...), device, table != nullptr};
    if (table != nullptr && region->log != nullptr)
      casts.count = &region->log->call(op_policy::op_name(number), given,
                                       choice.has_value() ? choice->by() : std::string());
    if (rule == CastRule::banned) refuse_banned(op_policy::kListed[number].name);
    return compute(rule, region, casts, static_cast<Args>(args)...);
  }

 private:
  static constexpr CastRule listed_rule(c10::DeviceType device) {
    const auto& op = op_policy::kListed[number];
    return device == c10::DeviceType::CPU ? op.cpu : op.cuda;
  }

  static Ret pass_on(c10::DispatchKeySet keys, c10::DeviceType device, CastRule given, bool ours,
                     Args... args) {
    if constexpr (requires { Own::dtype_to_pass_on(given, device); }) {
      const Casts casts{Own::dtype_to_pass_on(given, device), device, ours};
      return AtOp::redispatch(keys & keys_after(device),
                              cast<Args>(casts, static_cast<Args>(args))...);
    }
    return AtOp::redispatch(keys & keys_after(device), static_cast<Args>(args)...);
  }

  static Ret compute(CastRule rule, const Region* region, Casts casts, Args... args) {
    const auto device = casts.device;
    if constexpr ((std::is_same_v<std::remove_cvref_t<Args>, std::optional<c10::ScalarType>> ||
                   ...)) {
      if (rule == CastRule::fp32_set_opt_dtype && first_is_eligible(device, args...))
        return AtOp::call(with_dtype<Args>(static_cast<Args>(args))...);
    }
    if constexpr (has_own_computation<AtOp>) {
      if (Own::computes(rule, device)) {
        if (rule != CastRule::lower_precision)
          casts.dtype = at::autocast::get_autocast_dtype(device);
        return Own::run(casts, args...);
      }
    }
    if (const auto* emulation = emulation_of(region, device, rule)) {
      casts.rounded_to = emulation->forward;
      return with_rounded_gradients<Ret>(*emulation,
                                         AtOp::call(cast<Args>(casts, static_cast<Args>(args))...));
    }
    if constexpr (requires(const Ret& result) { Own::note(result); }) {
      auto result = AtOp::call(cast<Args>(casts, static_cast<Args>(args))...);
      if (region != nullptr) Own::note(result);
      return result;
    }
    return AtOp::call(cast<Args>(casts, static_cast<Args>(args))...);
  }
};

#define AMP_REGISTER_OP(op, name, cpu_rule, cuda_rule)                                             \
  cpu.impl(name, TORCH_FN((Kernel<at::_ops::op, op_policy::op_##op, at::_ops::op::schema>::run))); \
  cuda.impl(name, TORCH_FN((Kernel<at::_ops::op, op_policy::op_##op, at::_ops::op::schema>::run)));

}  // namespace amp::autocast
