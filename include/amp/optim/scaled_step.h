// The second interface of an optimizer: a step that takes the loss scale and the overflow flag as
// tensors, so that nobody has to wait for the device between backward() and the next forward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "amp/export.h"

namespace amp::optim {

struct FusedStepOptions {
  at::Tensor inv_scale = {};  // fp32, one element: 1 / loss scale. Undefined: nothing is scaled
  double max_grad_norm = 0;   // > 0: clip by the global L2 norm; 0: do not
  bool write_back_gradients = false;  // leave the gradient that was used in `.grad`
};

// fp32, 0-dim, on the device of the first parameter that has a gradient.
struct StepOutcome {
  at::Tensor grad_norm;  // global L2 norm of the unscaled gradients, before clipping
  at::Tensor found_inf;  // 1 if a gradient is Inf or NaN, scaled or unscaled; else 0
};

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

  // Whether the three functions below are there. Then GradScaler and TrainStep leave more to this
  // optimizer: it takes fp16 gradients, which no other may have, and unscales them in fp32; it
  // raises the version of every parameter that it writes; and a step that throws has changed
  // nothing.
  virtual bool has_fused_step() const { return false; }

  // Unscales, looks for Inf and NaN, clips and updates in one call; FusedOptimizer::fused_step says
  // what is expected. The default throws UnsupportedError.
  virtual StepOutcome fused_step(const FusedStepOptions& options);

  // Only looks: the gradients stay as they are. inv_scale may be undefined. The default throws
  // UnsupportedError.
  virtual StepOutcome examine(const at::Tensor& inv_scale);

  // The parameters whose gradient was Inf or NaN when fused_step() or examine() last looked. Does
  // not wait. By default none.
  virtual const std::vector<at::Tensor>& non_finite_parameters() const;
};

}  // namespace amp::optim
