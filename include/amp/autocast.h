// Autocast: the region in which ops run in low precision where that is safe and in fp32 where it is
// not.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

#include <memory>
#include <optional>

#include "amp/export.h"
#include "amp/op_policy.h"
#include "amp/precision/emulation.h"

namespace amp {

struct AutocastOptions {
  bool enabled = true;  // false: ops inside run as if there were no autocast around them
  // Keep the low-precision copies of fp32 leaf parameters until the outermost guard ends.
  bool cache_enabled = true;
  std::optional<OpPolicy> policy = {};  // by default OpPolicy::torch(device)
  // Rounds operands instead of casting them; the dtype is then Float.
  std::optional<Emulation> emulate = {};
};

// While an Autocast lives, products and convolutions on `device` take their inputs in `dtype`. Ops
// that need range or precision (losses, norms of long sums) take fp32. All others run in the dtype
// that they are given. The policy says which op belongs where.
//
// A weight is cast once and then served from the thread's cache; the gradients of its uses add up
// in fp32. A weight that an op changes inside the region is cast again. On the CPU the next
// outermost region also sees a change without a new version (a few elements through `.data()`, or a
// raw pointer): see weight_checks.h. Between two uses in one region, and on a GPU, such a change
// needs amp::invalidate.
//
// A guard belongs to its thread. Guards nest: the inner one rules, and each restores what it found,
// also when an exception unwinds it. So they end in the reverse order of their making. A guard that
// is destroyed on another thread leaves that thread alone; then the next Autocast on its own thread
// ends the region and throws StateError. Run the forward pass and the loss inside, and `backward()`
// and the optimizer outside. A backward pass inside casts by the same rules, which changes nothing
// where the forward pass has cast already. Never waits for the device.
//
// TorchScript modules are cast op by op, too. Inside the region they run without TorchScript's
// optimising executor, because its own derivatives multiply what was saved before the casts. The
// region notices such a module through at::RecordFunction, so do not disable that around one.
//
//   amp::Autocast autocast(torch::kCUDA);              // float16
//   auto loss = criterion(model->forward(x), target);
//
// Source: torch.autocast, PyTorch 2.11 (torch/amp/autocast_mode.py). Here a dtype that autocast
// cannot use, or a device that is absent, is an error; there it is a silently disabled region.
class AMP_API Autocast {
 public:
  // device: CPU or CUDA. dtype: BFloat16 or Half, by default BFloat16 on the CPU and Half on CUDA.
  // With options.emulate the dtype is Float, also by default. Throws InvalidArgument for another
  // dtype and UnsupportedError for a device that is absent (both unless enabled is false), and
  // UnsupportedError for another device. CUDA is absent while LibTorch's CUDA library is not
  // loaded, and where there is no GPU. A library that is loaded later is found.
  explicit Autocast(c10::DeviceType device, std::optional<c10::ScalarType> dtype = {},
                    AutocastOptions options = {});
  // The same. A region belongs to a device type, as LibTorch's autocast state does, so the index
  // does not matter.
  explicit Autocast(c10::Device device, std::optional<c10::ScalarType> dtype = {},
                    AutocastOptions options = {});
  ~Autocast();

  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;
  Autocast(Autocast&&) = delete;
  Autocast& operator=(Autocast&&) = delete;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

// Whether ops on this device are cast in this thread, and to which dtype. This holds for a region
// of LibTorch's own, too.
AMP_API bool is_autocast_enabled(c10::DeviceType device);
AMP_API c10::ScalarType autocast_dtype(c10::DeviceType device);
// The policy of this thread's innermost Autocast on the device, or OpPolicy::torch's where there is
// none. Throws UnsupportedError for another device than CPU and CUDA.
AMP_API OpPolicy autocast_policy(c10::DeviceType device);

// Drops the casts of a tensor that this thread keeps. Call it after the tensor was written through
// `.data()` or a raw pointer on a GPU, between two uses in one region, or under
// WeightChecks::trusting. Every other change is noticed without it.
AMP_API void invalidate(const at::Tensor& tensor);

}  // namespace amp
