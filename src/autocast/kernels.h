// One kernel for each listed op and device: reads the rule, casts the arguments, passes the op on.
#pragma once

#include <ATen/autocast_mode.h>
#include <torch/library.h>

#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "src/autocast/argument_rules.h"
#include "src/autocast/attention_module.h"
#include "src/autocast/cast_cache.h"
#include "src/autocast/emulation.h"
#include "src/autocast/log.h"
#include "src/autocast/recurrent_ops.h"
#include "src/autocast/region.h"

namespace amp::autocast {

constexpr c10::DispatchKey key_of(c10::DeviceType device) {
  return device == c10::DeviceType::CPU ? c10::DispatchKey::AutocastCPU
                                        : c10::DispatchKey::AutocastCUDA;
}

// The keys that LibTorch's fallthrough goes on to.
constexpr c10::DispatchKeySet keys_after(c10::DeviceType device) {
  return {c10::DispatchKeySet::FULL_AFTER, key_of(device)};
}

// Throws UnsupportedError that names the op and what to use instead.
[[noreturn]] void refuse_banned(const char* op);

inline constexpr auto kAsItIs = c10::ScalarType::Undefined;

// The dtype that arguments are cast to, or kAsItIs. In a region of ours casts come from the thread's
// cache, else from LibTorch's.
struct Casts {
  c10::ScalarType dtype;
  c10::DeviceType device;
  bool ours;
  CastCount* count = nullptr;  // of a CastLog
  std::optional<Format> rounded_to = {};

  at::Tensor operator()(const at::Tensor& tensor) const {
    if (dtype == kAsItIs || !at::autocast::is_eligible(tensor, device)) return tensor;
    if (count != nullptr) return counted_cast(dtype, rounded_to, tensor, *count);
    if (rounded_to.has_value()) return cached_rounding(*rounded_to, tensor);
    return ours ? cached_cast(dtype, tensor) : at::autocast::cached_cast(dtype, tensor, device);
  }
  template <typename List>
  std::vector<at::Tensor> list(const List& tensors) const {
    std::vector<at::Tensor> cast;
    cast.reserve(tensors.size());
    for (const auto& tensor : tensors) cast.push_back((*this)(tensor));
    return cast;
  }
};

template <typename T>
inline constexpr bool is_list =
    std::is_same_v<T, at::TensorList> || std::is_same_v<T, at::ITensorListRef>;

// An argument as the op gets it: tensors cast, everything else as it is.
template <typename T>
decltype(auto) cast(const Casts& casts, T&& argument) {
  using Plain = std::remove_cvref_t<T>;
  if constexpr (std::is_same_v<Plain, at::Tensor>) {
    return casts(argument);
  } else if constexpr (std::is_same_v<Plain, std::optional<at::Tensor>>) {
    return argument.has_value() ? std::optional(casts(*argument)) : std::nullopt;
  } else if constexpr (is_list<Plain>) {
    return casts.list(argument);
  } else {
    return static_cast<T&&>(argument);
  }
}

// dtype= as fp32_set_opt_dtype has it.
template <typename T>
decltype(auto) with_dtype(T&& argument) {
  if constexpr (std::is_same_v<std::remove_cvref_t<T>, std::optional<c10::ScalarType>>) {
    return std::optional(argument.value_or(c10::kFloat));
  } else {
    return static_cast<T&&>(argument);
  }
}

// The widest dtype among eligible arguments; kAsItIs if there are none.
class Widest {
 public:
  explicit Widest(c10::DeviceType device) : device_(device) {}
  void operator()(const at::Tensor& tensor) {
    if (!at::autocast::is_eligible(tensor, device_)) return;
    const auto dtype = tensor.scalar_type();
    const bool is_low = dtype != c10::kFloat;
    if (widest_ == kAsItIs) first_is_low_ = is_low;
    if (widest_ != kAsItIs) others_are_fp32_ = (others_are_fp32_ || !any_other_) && !is_low;
    any_other_ |= widest_ != kAsItIs;
    any_low_ |= is_low;
    mixed_ |= widest_ != kAsItIs && widest_ != dtype;
    widest_ = widest_ == kAsItIs || widest_ == dtype ? dtype : c10::kFloat;
  }
  template <typename T>
  void meet(const T& argument) {
    if constexpr (std::is_same_v<T, at::Tensor>) {
      (*this)(argument);
    } else if constexpr (std::is_same_v<T, std::optional<at::Tensor>>) {
      if (argument.has_value()) (*this)(*argument);
    } else if constexpr (is_list<T>) {
      for (const auto& tensor : argument) (*this)(tensor);
    }
  }
  c10::ScalarType dtype() const { return widest_; }
  bool any_low() const { return any_low_; }
  bool mixed() const { return mixed_; }
  // The first low, and others, all of them fp32: what the CPU's kernels of norms are made for.
  bool low_beside_fp32() const { return first_is_low_ && others_are_fp32_; }

 private:
  c10::DeviceType device_;
  c10::ScalarType widest_ = kAsItIs;
  bool any_low_ = false, mixed_ = false;
  bool first_is_low_ = false, any_other_ = false, others_are_fp32_ = false;
};

template <typename First, typename... Rest>
bool first_is_eligible(c10::DeviceType device, const First& first, const Rest&...) {
  if constexpr (std::is_same_v<First, at::Tensor>) return at::autocast::is_eligible(first, device);
  return false;
}

// norm with a dtype.
template <typename AtOp>
struct Appended {
  static constexpr bool possible = false;
};
template <>
struct Appended<at::_ops::norm_Scalar> {
  static constexpr bool possible = true;
  static at::Tensor call(c10::ScalarType dtype, const at::Tensor& self, const at::Scalar& p) {
    return at::_ops::norm_ScalarOpt_dtype::call(self, p, dtype);
  }
};
template <>
struct Appended<at::_ops::norm_ScalarOpt_dim> {
  static constexpr bool possible = true;
  static at::Tensor call(c10::ScalarType dtype, const at::Tensor& self,
                         const std::optional<at::Scalar>& p, at::IntArrayRef dim, bool keepdim) {
    return at::_ops::norm_ScalarOpt_dim_dtype::call(self, p, dim, keepdim, dtype);
  }
};
template <>
struct Appended<at::_ops::norm_names_ScalarOpt_dim> {
  static constexpr bool possible = true;
  static at::Tensor call(c10::ScalarType dtype, const at::Tensor& self,
                         const std::optional<at::Scalar>& p, at::DimnameList dim, bool keepdim) {
    return at::_ops::norm_names_ScalarOpt_dim_dtype::call(self, p, dim, keepdim, dtype);
  }
};

// Whether LibTorch's kernel, by fp32_inside, may read low precision. Measured on LibTorch 2.11: the
// CPU's softmax over another dimension than the last, and its log_softmax over the last, round
// in between.
template <typename AtOp>
struct Inside {
  template <typename... Args>
  static bool reads_low_precision(c10::DeviceType, const Args&...) {
    return true;
  }
};
inline bool is_last(const at::Tensor& tensor, std::int64_t dim) {
  return dim == -1 || dim == tensor.dim() - 1;
}
template <>
struct Inside<at::_ops::softmax_int> {
  static bool reads_low_precision(c10::DeviceType device, const at::Tensor& self, std::int64_t dim,
                                  const std::optional<c10::ScalarType>& dtype) {
    return device != c10::DeviceType::CPU || dtype.has_value() || is_last(self, dim);
  }
};
template <>
struct Inside<at::_ops::log_softmax_int> {
  static bool reads_low_precision(c10::DeviceType device, const at::Tensor& self, std::int64_t dim,
                                  const std::optional<c10::ScalarType>& dtype) {
    return device != c10::DeviceType::CPU || dtype.has_value() || !is_last(self, dim);
  }
};

// What cross_entropy_loss does by fp32_inside.
at::Tensor cross_entropy_inside(const Casts& to_fp32, const at::Tensor& logits,
                                const at::Tensor& target, const std::optional<at::Tensor>& weight,
                                std::int64_t reduction, const c10::SymInt& ignore_index,
                                double label_smoothing);

// What lstm.input does by lower_precision on the CPU, and whether it does it for these arguments.
using LstmResult = std::tuple<at::Tensor, at::Tensor, at::Tensor>;
bool lstm_takes(const at::Tensor& input, at::TensorList states, at::TensorList weights,
                bool has_biases, std::int64_t layers, double dropout, bool train,
                bool bidirectional, bool batch_first);
LstmResult lstm_inside(const Casts& to_low, const at::Tensor& input, at::TensorList states,
                       at::TensorList weights, bool has_biases, std::int64_t layers, double dropout,
                       bool train, bool bidirectional, bool batch_first);

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

template <typename AtOp, op_policy::Op number, c10::DeviceType device, typename Schema>
struct Kernel;

template <typename AtOp, op_policy::Op number, c10::DeviceType device, typename Ret,
          typename... Args>
struct Kernel<AtOp, number, device, Ret(Args...)> {
  static Ret run(c10::DispatchKeySet keys, Args... args) {
    const auto* region = current_region();
    const auto* table = region == nullptr ? nullptr : region->of(device).table.get();
    constexpr auto own = device == c10::DeviceType::CPU ? op_policy::kListed[number].cpu
                                                        : op_policy::kListed[number].cuda;
    auto rule = table == nullptr ? own : table->rules[number];
    std::optional<Choice> choice;
    if (table != nullptr && table->reads_arguments) {
      choice = choice_by_arguments<AtOp>(region->of(device), args...);
      if (choice.has_value()) rule = choice->rule;
    }
    if constexpr (op_policy::kCompleted[number] != CastRule::keep) {
      if (rule == CastRule::fp32_inside)
        return InsideKernel<AtOp, number, Ret(Args...)>::run(keys, static_cast<Args>(args)...);
    }
    if constexpr (op_policy::rounds_in_between(number) && device == c10::DeviceType::CPU) {
      if (rule == CastRule::lower_precision && table != nullptr && table->rounds_once() &&
          !region->of(device).emulate.has_value())
        return InsideKernel<AtOp, number, Ret(Args...)>::widened(keys, static_cast<Args>(args)...);
    }
    if (choice.has_value() && region->log != nullptr)
      note_choice(*region->log, op_policy::name_of(number), table->rules[number], *choice);
    const auto given = rule;
    if (rule == CastRule::fp32_inside && !Inside<AtOp>::reads_low_precision(device, args...))
      rule = CastRule::fp32;
    if constexpr (Recurrent<AtOp>::possible) {
      if (rule == Recurrent<AtOp>::rule && !computes_recurrence(region, args...))
        rule = device == c10::DeviceType::CPU ? CastRule::keep : Recurrent<AtOp>::on_cuda;
    }
    if (!Recurrent<AtOp>::possible && rule == CastRule::fp32_inside &&
        device == c10::DeviceType::CPU && is_mix_for_no_kernel(device, args...))
      rule = CastRule::promote;
    if constexpr (std::is_same_v<AtOp, at::_ops::lstm_input>) {
      // The layers inside have that rule.
      if (rule == CastRule::lower_precision && device == c10::DeviceType::CUDA)
        rule = CastRule::keep;
      // LibTorch's, with casts inside it: in fp16 it takes its fast path for fp32 inputs alone.
      if (rule == CastRule::lower_precision && device == c10::DeviceType::CPU &&
          !lstm_takes(args...)) {
        const Casts to_fp32{c10::kFloat, device, table != nullptr};
        return AtOp::redispatch(keys & keys_after(device),
                                cast<Args>(to_fp32, static_cast<Args>(args))...);
      }
    }
    // As LibTorch's fallthrough: the ops inside a composite one are still cast.
    if (rule == CastRule::keep)
      return AtOp::redispatch(keys & keys_after(device), static_cast<Args>(args)...);
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(key_of(device));
    CastCount* count = nullptr;
    if (table != nullptr && region->log != nullptr)
      count = &region->log->call(op_policy::name_of(number), given,
                                 choice.has_value() ? choice->by() : std::string());
    if (rule == CastRule::banned) refuse_banned(op_policy::kListed[number].name);
    if constexpr ((std::is_same_v<std::remove_cvref_t<Args>, std::optional<c10::ScalarType>> ||
                   ...)) {
      if (rule == CastRule::fp32_set_opt_dtype && first_is_eligible(device, args...))
        return AtOp::call(with_dtype<Args>(static_cast<Args>(args))...);
    }
    if constexpr (Appended<AtOp>::possible) {
      if (rule == CastRule::fp32_append_dtype) {
        const auto dtype = first_is_eligible(device, args...) ? c10::kFloat : dtype_of(args...);
        return Appended<AtOp>::call(dtype, args...);
      }
    }
    if constexpr (std::is_same_v<AtOp, at::_ops::cross_entropy_loss>) {
      if (rule == CastRule::fp32_inside)
        return cross_entropy_inside({c10::kFloat, device, table != nullptr, count}, args...);
    }
    if constexpr (Recurrent<AtOp>::possible) {
      if (rule == Recurrent<AtOp>::rule) {
        const auto low = at::autocast::get_autocast_dtype(device);
        return Recurrent<AtOp>::run({low, device, table != nullptr, count}, args...);
      }
    }
    Casts casts{target(rule, device, args...), device, table != nullptr, count};
    if constexpr (std::is_same_v<AtOp, at::_ops::lstm_input>) {
      if (rule == CastRule::lower_precision && device == c10::DeviceType::CPU)
        return lstm_inside(casts, args...);
    }
    if constexpr (std::is_same_v<AtOp, at::_ops::embedding>) {
      // The rows that were looked up are rounded, which gives the bits of a rounded table without
      // one; and their gradients, of which a common token has hundreds, add up in the table's dtype.
      if (rule == CastRule::lower_precision) return casts(AtOp::call(args...));
    }
    if (const auto* emulation = emulation_of(region, device, rule)) {
      casts.rounded_to = emulation->forward;
      return with_rounded_gradients<Ret>(*emulation,
                                         AtOp::call(cast<Args>(casts, static_cast<Args>(args))...));
    }
    if constexpr (std::is_same_v<AtOp, at::_ops::bmm>) {
      auto result = AtOp::call(cast<Args>(casts, static_cast<Args>(args))...);
      if (region != nullptr) remember_product(result);
      return result;
    }
    return AtOp::call(cast<Args>(casts, static_cast<Args>(args))...);
  }

 private:
  static bool computes_recurrence(const Region* region, const Args&... args) {
    if constexpr (Recurrent<AtOp>::possible && device == c10::DeviceType::CPU)
      return !(region != nullptr && region->cpu.emulate.has_value()) &&
             Recurrent<AtOp>::takes(args...);
    return false;
  }
  template <typename... Rest>
  static c10::ScalarType dtype_of(const at::Tensor& first, const Rest&...) {
    return first.scalar_type();
  }
};

#define AMP_REGISTER_OP(op, name, cpu_rule, cuda_rule)                                      \
  cpu.impl(name, TORCH_FN((Kernel<at::_ops::op, op_policy::op_##op, c10::DeviceType::CPU,   \
                                  at::_ops::op::schema>::run)));                            \
  cuda.impl(name, TORCH_FN((Kernel<at::_ops::op, op_policy::op_##op, c10::DeviceType::CUDA, \
                                   at::_ops::op::schema>::run)));

// Each registers a part of the table.
void register_part_1(torch::Library& cpu, torch::Library& cuda);
void register_part_2(torch::Library& cpu, torch::Library& cuda);
void register_part_3(torch::Library& cpu, torch::Library& cuda);
void register_part_4(torch::Library& cpu, torch::Library& cuda);
void register_part_5(torch::Library& cpu, torch::Library& cuda);

}  // namespace amp::autocast
