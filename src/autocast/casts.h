// The dtype that an op's arguments get. What every op's kernel calls lies in casts.cpp, once.
#pragma once

#include <ATen/autocast_mode.h>
#include <ATen/core/IListRef.h>

#include <optional>
#include <type_traits>
#include <vector>

#include "src/autocast/cast_cache.h"
#include "src/autocast/log.h"

namespace amp::autocast {

constexpr c10::DispatchKey key_of(c10::DeviceType device) {
  return device == c10::DeviceType::CPU ? c10::DispatchKey::AutocastCPU
                                        : c10::DispatchKey::AutocastCUDA;
}

// The device whose autocast key an op was called by.
inline c10::DeviceType device_of(c10::DispatchKeySet keys) {
  return keys.highestPriorityTypeId() == c10::DispatchKey::AutocastCPU ? c10::DeviceType::CPU
                                                                       : c10::DeviceType::CUDA;
}

// The keys that LibTorch's fallthrough goes on to.
constexpr c10::DispatchKeySet keys_after(c10::DeviceType device) {
  return {c10::DispatchKeySet::FULL_AFTER, key_of(device)};
}

inline constexpr auto kAsItIs = c10::ScalarType::Undefined;

// The dtype that arguments are cast to, or kAsItIs. In a region of ours casts come from the thread's
// cache, else from LibTorch's.
struct Casts {
  c10::ScalarType dtype;
  c10::DeviceType device;
  bool ours;
  CastCount* count = nullptr;  // of a CastLog
  std::optional<Format> rounded_to = {};

  at::Tensor operator()(const at::Tensor& tensor) const;
  std::vector<at::Tensor> list(at::TensorList tensors) const;
  std::vector<at::Tensor> list(const at::ITensorListRef& tensors) const;
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

// The widest dtype among eligible arguments; kAsItIs if there are none.
class Widest {
 public:
  explicit Widest(c10::DeviceType device) : device_(device) {}
  void operator()(const at::Tensor& tensor);
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

}  // namespace amp::autocast
