// What a weight was when a copy of it was made.
#include "src/tensor_lists/weight_state.h"

#include <algorithm>
#include <cstring>

namespace amp::tensor_lists {

WeightState::WeightState(const at::Tensor& weight) : source_(weight.getIntrusivePtr()) {
  refresh(weight);
}

bool WeightState::is_of(const at::Tensor& weight) const {
  return source_._unsafe_get_target() == weight.unsafeGetTensorImpl() && !source_.expired();
}

bool WeightState::holds(const at::Tensor& weight) const {
  return is_of(weight) && version_ == weight._version() && data_ == weight.const_data_ptr() &&
         weight.sizes().equals(sizes_) && weight.strides().equals(strides_) &&
         fingerprint_ == fingerprint_of(weight);
}

void WeightState::refresh(const at::Tensor& weight) {
  version_ = weight._version();
  data_ = weight.const_data_ptr();
  sizes_.assign(weight.sizes().begin(), weight.sizes().end());
  strides_.assign(weight.strides().begin(), weight.strides().end());
  fingerprint_ = fingerprint_of(weight);
}

// Of a dense fp32 tensor as it lies in memory; zeros elsewhere than on the CPU.
WeightState::Fingerprint WeightState::fingerprint_of(const at::Tensor& weight) {
  Fingerprint bits{};
  if (!weight.is_cpu() || !weight.is_non_overlapping_and_dense()) return bits;
  const auto* data = static_cast<const char*>(weight.const_data_ptr());
  const auto count = static_cast<std::size_t>(weight.numel());
  const auto samples = std::min(count, kSamples);
  for (std::size_t i = 0; i < samples; ++i) {
    // The first and the last are among them.
    const auto element = samples == 1 ? 0 : i * (count - 1) / (samples - 1);
    std::memcpy(&bits[i], data + element * sizeof(float), sizeof(float));
  }
  return bits;
}

}  // namespace amp::tensor_lists
