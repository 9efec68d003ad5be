// Autocast for your own torch::autograd::Function: the forward pass runs in a dtype of its choice,
// and the backward pass runs as the forward pass did.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

#include <memory>
#include <optional>
#include <vector>

#include "amp/autocast.h"
#include "amp/export.h"

namespace torch::autograd {
struct AutogradContext;
}

namespace amp {

// Make it in forward(): it notes in `ctx` how autocast is set, for CustomBackward. With
// `cast_inputs`, where autocast is on for the device, it also turns autocast off while it lives,
// and cast() gives inputs in that dtype. Then the backward pass runs with autocast off, too. Where
// autocast is off, cast() gives back what it gets.
//
//   struct Cube : torch::autograd::Function<Cube> {
//     static at::Tensor forward(torch::autograd::AutogradContext* ctx, at::Tensor x) {
//       const amp::CustomForward region(ctx, torch::kCUDA, torch::kFloat);
//       x = region.cast(x);
//       ctx->save_for_backward({x});
//       return x * x * x;
//     }
//     static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
//                                                    torch::autograd::variable_list gradients) {
//       const amp::CustomBackward region(ctx);
//       const auto x = ctx->get_saved_variables()[0];
//       return {gradients[0] * 3 * x * x};
//     }
//   };
//
// Never waits for the device. Throws what Autocast throws, and InvalidArgument for a cast_inputs
// that is no floating-point dtype.
// Source: torch.amp.custom_fwd and custom_bwd, PyTorch 2.11 (torch/amp/autocast_mode.py).
class AMP_API CustomForward {
 public:
  CustomForward(torch::autograd::AutogradContext* ctx, c10::DeviceType device,
                std::optional<c10::ScalarType> cast_inputs = {});
  ~CustomForward();
  CustomForward(const CustomForward&) = delete;
  CustomForward& operator=(const CustomForward&) = delete;

  // Casts the tensors that autocast would cast: floating-point, on the device, not fp64. Others,
  // undefined ones too, come back as they are.
  at::Tensor cast(const at::Tensor& tensor) const;
  std::vector<at::Tensor> cast(at::TensorList tensors) const;

 private:
  c10::DeviceType device_;
  std::optional<c10::ScalarType> dtype_;  // none: nothing is cast
  std::unique_ptr<Autocast> off_;
};

// Make it in backward(): while it lives, autocast is as it was in forward(), with its policy.
// Throws StateError if forward() had no CustomForward.
class AMP_API CustomBackward {
 public:
  explicit CustomBackward(torch::autograd::AutogradContext* ctx);
  ~CustomBackward();
  CustomBackward(const CustomBackward&) = delete;
  CustomBackward& operator=(const CustomBackward&) = delete;

 private:
  std::unique_ptr<Autocast> region_;
};

}  // namespace amp
