// CustomForward and CustomBackward: the state of autocast, kept in the function's context.
#include "amp/custom_function.h"

#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <string>

#include "amp/error.h"
#include "src/autocast/region.h"

namespace amp {
namespace {

constexpr const char* kKey = "ampersand.autocast";

// How autocast was set in the forward pass.
struct Recorded : torch::CustomClassHolder {
  c10::DeviceType device = c10::DeviceType::CPU;
  c10::ScalarType dtype = c10::ScalarType::Float;
  AutocastOptions options;
};

void check_dtype(c10::ScalarType dtype) {
  if (c10::isFloatingType(dtype)) return;
  throw InvalidArgument(
      std::string("CustomForward: cast_inputs must be a floating-point dtype, got ") +
      c10::toString(dtype));
}

}  // namespace

CustomForward::CustomForward(torch::autograd::AutogradContext* ctx, c10::DeviceType device,
                             std::optional<c10::ScalarType> cast_inputs)
    : device_(device) {
  if (cast_inputs.has_value()) check_dtype(*cast_inputs);
  const bool on = is_autocast_enabled(device);
  auto recorded = c10::make_intrusive<Recorded>();
  recorded->device = device;
  recorded->dtype = autocast_dtype(device);
  recorded->options = {.enabled = on && !cast_inputs.has_value(),
                       .cache_enabled = at::autocast::is_autocast_cache_enabled(),
                       .policy = autocast_policy(device),
                       .emulate = autocast::emulation_here(device)};
  if (on && cast_inputs.has_value()) {
    dtype_ = cast_inputs;
    off_ = std::make_unique<Autocast>(device, std::nullopt, AutocastOptions{.enabled = false});
  }
  ctx->saved_data[kKey] = c10::IValue::make_capsule(std::move(recorded));
}

CustomForward::~CustomForward() = default;

at::Tensor CustomForward::cast(const at::Tensor& tensor) const {
  if (!dtype_.has_value() || !at::autocast::is_eligible(tensor, device_)) return tensor;
  return tensor.to(*dtype_);
}

std::vector<at::Tensor> CustomForward::cast(at::TensorList tensors) const {
  std::vector<at::Tensor> result;
  result.reserve(tensors.size());
  for (const auto& tensor : tensors) result.push_back(cast(tensor));
  return result;
}

CustomBackward::CustomBackward(torch::autograd::AutogradContext* ctx) {
  const auto found = ctx->saved_data.find(kKey);
  if (found == ctx->saved_data.end()) {
    throw StateError(
        "CustomBackward: the forward pass of this function noted no autocast state; make a "
        "CustomForward(ctx, device) at its beginning");
  }
  const auto recorded = c10::static_intrusive_pointer_cast<Recorded>(found->second.toCapsule());
  region_ = std::make_unique<Autocast>(recorded->device, recorded->dtype, recorded->options);
}

CustomBackward::~CustomBackward() = default;

}  // namespace amp
