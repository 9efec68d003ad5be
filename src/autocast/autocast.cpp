// Autocast: saves the thread's autocast state, sets its own, and puts the saved one back.
#include "amp/autocast.h"

#include <ATen/autocast_mode.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>

#include <string>

#include "amp/error.h"
#include "src/cpu_math/single_copy.h"
#include "src/cpu_math/switches.h"

namespace amp {
namespace {

void check_device(c10::DeviceType device) {
  if (device == c10::kCPU || device == c10::kCUDA) return;
  throw UnsupportedError("Autocast: device must be CPU or CUDA, got " +
                         c10::DeviceTypeName(device));
}

c10::ScalarType checked_dtype(c10::DeviceType device, std::optional<c10::ScalarType> dtype,
                              bool enabled) {
  const auto by_default = device == c10::kCPU ? c10::kBFloat16 : c10::kHalf;
  const auto chosen = dtype.value_or(by_default);
  if (enabled && chosen != c10::kBFloat16 && chosen != c10::kHalf) {
    throw InvalidArgument(std::string("Autocast: dtype must be BFloat16 or Half, got ") +
                          c10::toString(chosen) + "; for full precision pass {.enabled = false}");
  }
  return chosen;
}

}  // namespace

// Whether a CUDA device exists is not asked here: ATen remembers its first answer for good, and a
// program may load its CUDA library later. On a machine without one the region simply never meets a
// CUDA tensor.
Autocast::Autocast(c10::DeviceType device, std::optional<c10::ScalarType> dtype,
                   AutocastOptions options)
    : device_(device) {
  cpu_math::check_single_copy();
  check_device(device);
  const auto chosen = checked_dtype(device, dtype, options.enabled);
  if (options.enabled && device == c10::kCPU) cpu_math::want_narrow_math(chosen);

  outer_enabled_ = at::autocast::is_autocast_enabled(device);
  outer_dtype_ = at::autocast::get_autocast_dtype(device);
  outer_cache_enabled_ = at::autocast::is_autocast_cache_enabled();
  // LibTorch's cache is keyed by tensor alone: left in place, a region of another dtype would be
  // served copies in the wrong one. The dtype tells, also across a disabled region in between,
  // which leaves it as it was.
  if (options.enabled && chosen != outer_dtype_) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device, options.enabled);
  if (options.enabled) at::autocast::set_autocast_dtype(device, chosen);
  at::autocast::set_autocast_cache_enabled(options.cache_enabled);
  outer_script_optimized_ = torch::jit::getGraphExecutorOptimize();
  if (options.enabled) torch::jit::setGraphExecutorOptimize(false);
  at::autocast::increment_nesting();
}

Autocast::~Autocast() {
  const bool outermost = at::autocast::decrement_nesting() == 0;
  if (outermost || at::autocast::get_autocast_dtype(device_) != outer_dtype_)
    at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, outer_enabled_);
  at::autocast::set_autocast_dtype(device_, outer_dtype_);
  at::autocast::set_autocast_cache_enabled(outer_cache_enabled_);
  torch::jit::setGraphExecutorOptimize(outer_script_optimized_);
}

}  // namespace amp
