// ATen's factories on the tests' device, and that device's type for regions of autocast.
#pragma once

#include <ATen/ATen.h>

#include "tests/support/device.h"

namespace amp::tests {

inline const c10::DeviceType kHere = test_device().type();
inline bool on_cpu() { return test_device().is_cpu(); }

namespace here {

inline at::TensorOptions placed(const at::TensorOptions& options) {
  return options.device(test_device());
}

inline at::Tensor ones(at::IntArrayRef shape, const at::TensorOptions& options = {}) {
  return at::ones(shape, placed(options));
}
inline at::Tensor zeros(at::IntArrayRef shape, const at::TensorOptions& options = {}) {
  return at::zeros(shape, placed(options));
}
inline at::Tensor empty(at::IntArrayRef shape, const at::TensorOptions& options = {}) {
  return at::empty(shape, placed(options));
}
inline at::Tensor full(at::IntArrayRef shape, double value, const at::TensorOptions& options = {}) {
  return at::full(shape, value, placed(options));
}
inline at::Tensor randn(at::IntArrayRef shape, const at::TensorOptions& options = {}) {
  return at::randn(shape, placed(options));
}
inline at::Tensor linspace(double begin, double end, std::int64_t count,
                           const at::TensorOptions& options = {}) {
  return at::linspace(begin, end, count, placed(options));
}
inline at::Tensor arange(std::int64_t end) { return at::arange(end, placed({})); }
inline at::Tensor arange(std::int64_t end, const at::TensorOptions& options) {
  return at::arange(end, placed(options));
}
inline at::Tensor arange(std::int64_t begin, std::int64_t end, const at::TensorOptions& options) {
  return at::arange(begin, end, placed(options));
}

}  // namespace here
}  // namespace amp::tests
