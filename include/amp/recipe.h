// Recipe: the whole choice of how a model is trained in mixed precision, as a value.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>
#include <string>

#include "amp/autocast.h"
#include "amp/export.h"
#include "amp/grad_scaler.h"
#include "amp/op_policy.h"

namespace amp {

enum class LossScaling {
  none,     // the loss is used as it is
  fixed,    // times Recipe::static_scale, always; an overflow skips the step
  dynamic,  // by GradScaler's rule
};

// A Recipe says in which precision the model is kept and computes, how the loss is scaled, whether
// gradients are clipped and how many micro-batches make a step. fp32(), bf16() and fp16() leave the
// parameters fp32: they are the master weights. O0() to O3() are Apex's four levels.
//
//   auto recipe = amp::Recipe::fp16();
//   recipe.max_grad_norm = 1.0;
//   amp::TrainStep train_step(*model, optimizer, recipe);
struct AMP_API Recipe {
  c10::ScalarType compute_dtype = c10::ScalarType::Float;  // Float, BFloat16 or Half
  std::optional<OpPolicy> policy = {};  // by default OpPolicy::fast of the model's device

  // Products run in fp32 on operands that are rounded to a format (precision/emulation.h). Needs a
  // compute_dtype of Float.
  std::optional<Emulation> emulate = {};

  // What TrainStep turns the model's parameters and buffers into. Float leaves them as they are;
  // otherwise it is the compute dtype.
  c10::ScalarType model_dtype = c10::ScalarType::Float;
  bool master_weights = false;      // with a model_dtype below fp32: fp32 masters for the optimizer
  bool keep_batchnorm_fp32 = true;  // with a model_dtype below fp32: leave batch norm in fp32

  LossScaling loss_scaling = LossScaling::none;
  double static_scale = 65536.0;  // the fixed loss scale; finite, positive in fp32
  GradScalerOptions scaler = {};  // for LossScaling::dynamic; `enabled` is ignored
  double max_grad_norm =
      0;  // clip the global L2 norm of the unscaled gradients to this; 0: do not clip
  std::int64_t accumulation = 1;  // micro-batches per step; the loss is divided by it
  // A skipped step, and a call that throws, take back what they did to the model's buffers, such as
  // running statistics. false: the buffers stay as the forward passes left them, as in torch.
  bool restore_buffers = true;

  static Recipe fp32();  // no casting, no scaling
  static Recipe bf16();  // bf16 has fp32's range, so no scaling
  static Recipe fp16();  // dynamic loss scaling

  // Trains as if on hardware with fp8: e4m3 in the forward pass, e5m2 in the backward pass, each
  // tensor with a scale of its own. It runs on any machine, slower than fp32, and shows what fp8
  // would do to a model.
  static Recipe fp8();
  // The same in another format. e4m3 has e5m2 in the backward pass, every other format has itself,
  // and fp16 has dynamic loss scaling.
  static Recipe emulated(Format format);

  static Recipe O0();  // fp32()
  static Recipe O1();  // fp16(): fp32 weights, casts op by op
  static Recipe O2();  // an fp16 model with fp32 masters, batch norm in fp32, dynamic loss scaling
  static Recipe
  O3();  // fp16 all through and no loss scaling: a bound on the speed, not a way to train

  // Throws InvalidArgument naming the field, the rule and the value. TrainStep calls it.
  void validate() const;

  // The region that TrainStep computes the loss in: `const auto region = recipe.autocast(device)`.
  // It is off for a compute_dtype of Float, unless a format is emulated. Throws what Autocast
  // throws.
  Autocast autocast(c10::DeviceType device) const;
  Autocast autocast(c10::Device device) const { return autocast(device.type()); }

  // As JSON with the names of the fields above; dtypes are "fp32", "bf16" and "fp16", the policy is
  // OpPolicy's JSON or null.
  std::string to_json() const;
  // Fields that are left out keep the values of Recipe{}. Throws InvalidArgument for text that is
  // no JSON object, for an unknown field (naming a near one), a value of another kind, and whatever
  // validate() throws for.
  static Recipe from_json(const std::string& text);
};

}  // namespace amp
