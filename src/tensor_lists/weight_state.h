// What a weight was when a copy of it was made, to tell later whether the copy still is one.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

namespace amp::tensor_lists {

// The version counter alone is not enough: C++ SGD, `.data()`, set_data and raw pointers change a
// weight and leave it. So the state is the tensor itself (by weak reference), its version, its
// memory, sizes and strides, and on the CPU the bits of 32 elements spread over it; reading one on
// a GPU would wait. This misses a write of a few elements without a trace; is_rounded sees such
// writes.
class WeightState {
 public:
  explicit WeightState(const at::Tensor& weight);

  // Whether the weight is in this state, as far as can be seen.
  bool holds(const at::Tensor& weight) const;
  // Whether this is the tensor that the state is of, and not a later one at its address.
  bool is_of(const at::Tensor& weight) const;
  // Whether anybody holds the weight still.
  bool is_in_use() const { return !source_.expired(); }
  // Notes the present state. Does not allocate if the number of dimensions is the same.
  void refresh(const at::Tensor& weight);

 private:
  static constexpr std::size_t kSamples = 32;
  using Fingerprint = std::array<std::uint32_t, kSamples>;
  static Fingerprint fingerprint_of(const at::Tensor& weight);

  c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl> source_;
  std::int64_t version_ = 0;
  const void* data_ = nullptr;
  std::vector<std::int64_t> sizes_, strides_;
  Fingerprint fingerprint_{};
};

}  // namespace amp::tensor_lists
