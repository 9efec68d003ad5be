// Lists of tensors for ATen's calls over lists, which are one kernel where all of a list are alike.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

namespace amp::optim {

// On `device`, without waiting.
inline at::Tensor on_device(const at::Tensor& value, c10::Device device) {
  return value.to(device, /*non_blocking=*/true);
}

// Raises the versions of tensors, because ATen's calls over lists write without doing so.
void raise_version(const at::Tensor& tensor);

// Copies values to places, in one call for each device and pair of dtypes. A value and its place
// have the same strides.
class ListCopy {
 public:
  void add(at::Tensor target, at::Tensor source);
  void run();  // and forgets them

 private:
  struct Kind {
    c10::Device device;
    c10::ScalarType from, to;
    std::vector<at::Tensor> targets, sources;
  };
  std::vector<Kind> kinds_;
};

// The places of tensors in a list, by device and dtype.
struct SameKind {
  c10::Device device;
  c10::ScalarType dtype;
  std::vector<std::size_t> places;
};

template <typename Items, typename TensorOf>
std::vector<SameKind> by_kind(const Items& items, TensorOf&& tensor_of) {
  std::vector<SameKind> kinds;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const at::Tensor& tensor = tensor_of(items[i]);
    auto kind = kinds.begin();
    while (kind != kinds.end() &&
           (kind->device != tensor.device() || kind->dtype != tensor.scalar_type()))
      ++kind;
    if (kind == kinds.end()) kind = kinds.insert(kind, {tensor.device(), tensor.scalar_type(), {}});
    kind->places.push_back(i);
  }
  return kinds;
}

}  // namespace amp::optim
