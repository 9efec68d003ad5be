// Autocast: the region in which ops run in low precision where that is safe and in fp32 where it is
// not.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

#include <optional>

#include "amp/export.h"

namespace amp {

struct AutocastOptions {
  bool enabled =
      true;  // false: ops inside run as if there were no autocast, whatever surrounds them
  bool cache_enabled =
      true;  // keep the low-precision copies of fp32 leaf parameters until the outermost guard ends
};

// While an Autocast lives, products and convolutions on `device` take their inputs in `dtype`, ops
// that need the range or the precision (losses, norms of long sums) take fp32, and all others run
// in what they are given. Which op belongs where is LibTorch's own list for the device.
//
// The guard is a thing of its thread. Guards nest: the inner one rules, and each restores what it
// found, also when an exception unwinds it; so they end in the reverse order of their making. Run
// the forward pass and the loss inside, `backward()` and the optimizer outside. Never waits for the
// device.
//
// TorchScript modules are cast op by op, too. Inside the region they run without TorchScript's
// optimising executor: its own derivatives multiply what was saved before the casts.
//
//   amp::Autocast autocast(torch::kCUDA);              // float16
//   auto loss = criterion(model->forward(x), target);
//
// Source: torch.autocast, PyTorch 2.11 (torch/amp/autocast_mode.py). Unlike it, a dtype that
// autocast cannot use is an error and not a silently disabled region.
class AMP_API Autocast {
 public:
  // device: CPU or CUDA. dtype: BFloat16 or Half; by default BFloat16 on the CPU and Half on CUDA.
  // Throws InvalidArgument for another dtype (unless enabled is false) and UnsupportedError for
  // another device.
  explicit Autocast(c10::DeviceType device, std::optional<c10::ScalarType> dtype = {},
                    AutocastOptions options = {});
  ~Autocast();

  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;
  Autocast(Autocast&&) = delete;
  Autocast& operator=(Autocast&&) = delete;

 private:
  c10::DeviceType device_;
  c10::ScalarType outer_dtype_;
  bool outer_enabled_;
  bool outer_cache_enabled_;
  bool outer_script_optimized_;
};

}  // namespace amp
