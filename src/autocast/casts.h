// The dtype that an op's arguments get.
#pragma once

#include <ATen/autocast_mode.h>

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

template <typename First, typename... Rest>
bool first_is_eligible(c10::DeviceType device, const First& first, const Rest&...) {
  if constexpr (std::is_same_v<First, at::Tensor>) return at::autocast::is_eligible(first, device);
  return false;
}

}  // namespace amp::autocast
