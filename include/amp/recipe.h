// Recipe: the whole choice of how a model is trained in mixed precision, as a value.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

#include "amp/export.h"
#include "amp/grad_scaler.h"

namespace amp {

enum class LossScaling {
  none,     // the loss is used as it is
  fixed,    // times Recipe::static_scale, always; an overflow skips the step
  dynamic,  // by GradScaler's rule
};

// A Recipe says in which precision the forward pass computes, how the loss is scaled, whether
// gradients are clipped and how many micro-batches make a step. The parameters themselves stay
// fp32: they are the master weights.
//
//   auto recipe = amp::Recipe::fp16();
//   recipe.max_grad_norm = 1.0;
//   amp::TrainStep train_step(*model, optimizer, recipe);
struct AMP_API Recipe {
  c10::ScalarType compute_dtype = c10::ScalarType::Float;  // Float, BFloat16 or Half
  LossScaling loss_scaling = LossScaling::none;
  double static_scale = 65536.0;  // the fixed loss scale; finite, positive in fp32
  GradScalerOptions scaler = {};  // for LossScaling::dynamic; `enabled` is ignored
  double max_grad_norm =
      0;  // clip the global L2 norm of the unscaled gradients to this; 0: do not clip
  std::int64_t accumulation = 1;  // micro-batches per step; the loss is divided by it

  static Recipe fp32();  // no casting, no scaling
  static Recipe bf16();  // bf16 has fp32's range, so no scaling
  static Recipe fp16();  // dynamic loss scaling

  // Throws InvalidArgument naming the field, the rule and the value. TrainStep calls it.
  void validate() const;
};

}  // namespace amp
