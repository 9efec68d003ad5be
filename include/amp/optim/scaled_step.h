// The second interface of an optimizer: a step that takes the loss scale and the overflow flag as
// tensors, so that nobody has to wait for the device between backward() and the next forward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include "amp/export.h"

namespace amp::optim {

// Derive from it and from torch::optim::Optimizer. Then GradScaler::step and TrainStep call
// scaled_step() in the place of step(), without reading the flag first.
//
//   class FusedAdamW : public torch::optim::Optimizer, public amp::optim::ScaledStep { ... };
class AMP_API ScaledStep {
 public:
  virtual ~ScaledStep();

  // Whether scaled_step() wants the gradients as backward() left them. True: it divides them by the
  // loss scale itself, in the pass that updates the weights. False: the scaler divides them before,
  // in the pass that looks for Inf and NaN, and inv_scale is 1.
  virtual bool takes_scaled_gradients() const { return false; }

  // Updates the parameters with their gradients times inv_scale. If found_inf is not zero, no
  // parameter, moment or counter changes. Afterwards the gradients must be unscaled, after a skip
  // too. Both tensors are fp32 of one element, on the device of the first parameter that has a
  // gradient, and must not be written. An implementation should not wait for the device.
  //
  // Source: grad_scale and found_inf of torch.optim's fused optimizers, PyTorch 2.11; there
  // grad_scale divides, and a skip leaves the gradients scaled.
  virtual void scaled_step(const at::Tensor& inv_scale, const at::Tensor& found_inf) = 0;
};

}  // namespace amp::optim
