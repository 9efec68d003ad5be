// GradScaler: multiplies the loss so that small fp16 gradients survive, and skips the steps that
// overflowed.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "amp/export.h"

namespace amp {

struct GradScalerOptions {
  double init_scale = 65536.0;          // finite, positive, within the rails
  double growth_factor = 2.0;           // > 1, finite
  double backoff_factor = 0.5;          // in (0, 1)
  std::int64_t growth_interval = 2000;  // >= 1: clean steps before the scale grows
  bool enabled = true;                  // false: every call passes through
  std::int64_t hysteresis = 1;          // >= 1: overflows in a row before the scale backs off
  double min_scale =
      std::numeric_limits<float>::min();  // >= 2.94e-39: backoff stops here, 1 / scale stays finite
  double max_scale =
      std::numeric_limits<float>::max();  // growth that would pass this does not happen
  std::int64_t max_consecutive_skips =
      0;  // >= 0: `update` throws after so many skips in a row; 0: never
};

// What a scaler is between two iterations. The first five are torch's own.
struct GradScalerState {
  double scale = 0;
  double growth_factor = 0;
  double backoff_factor = 0;
  std::int64_t growth_interval = 0;
  std::int64_t growth_tracker = 0;
  std::int64_t hysteresis_left = 0;
  std::int64_t consecutive_skips = 0;

  bool empty() const { return scale == 0 && growth_interval == 0; }  // a disabled scaler's
};

// Whether `GradScaler::step` ran the optimizer. Learning-rate schedulers should advance only when
// it did.
class AMP_API StepResult {
 public:
  StepResult() = default;
  static StepResult skip(std::string reason, std::vector<at::Tensor> non_finite_parameters = {});
  // The step counts as skipped if found_inf (fp32, one element) is not zero; it is read when
  // somebody asks. loss_scale: fp32, one element, for the reason.
  static StepResult pending(at::Tensor found_inf, at::Tensor loss_scale);

  bool ready() const { return !found_inf_.defined(); }  // whether the others would not wait
  // These wait for the device once, if the optimizer is a ScaledStep whose gradients are on one.
  bool stepped() const { return reason().empty(); }
  bool skipped() const { return !stepped(); }
  const std::string& reason() const;  // why it was skipped; empty if it was not
  // The parameters whose gradient was Inf or NaN, after a skip that did not have to be waited for.
  // With an optimizer of amp::optim on the CPU, the pass that found it knows them. With others, the
  // skipped step looks at its gradients once more, and reads the answer once.
  const std::vector<at::Tensor>& non_finite_parameters() const { return non_finite_parameters_; }
  // The flag that the others would wait for; undefined if ready().
  const at::Tensor& found_inf() const { return found_inf_; }

 private:
  friend class GradScaler;
  mutable at::Tensor found_inf_, loss_scale_;
  mutable std::string reason_;
  std::vector<at::Tensor> non_finite_parameters_;
};

// The loss scale S and its rule. The loss is multiplied by S, so the gradients come out S times
// larger, clear of fp16's smallest numbers. Before the optimizer sees them they are divided by S in
// fp32. If one is Inf or NaN, S was too large: the step is skipped, and S is multiplied by
// backoff_factor. After growth_interval clean steps S is multiplied by growth_factor.
//
//   amp::GradScaler scaler;
//   for (auto& batch : loader) {
//     optimizer.zero_grad();
//     at::Tensor loss;
//     {
//       amp::Autocast autocast(device);
//       loss = criterion(model->forward(batch.data), batch.target);
//     }
//     scaler.scale(loss).backward();
//     scaler.unscale_(optimizer);  // only if you clip or look at the gradients
//     torch::nn::utils::clip_grad_norm_(model->parameters(), 1.0);
//     scaler.step(optimizer);
//     scaler.update();
//   }
//
// Call unscale_ (optional) and then step, once per iteration, for each optimizer; one `update` ends
// the iteration of all. Misuse throws StateError, and a gradient or a value that cannot be taken
// throws InvalidArgument; both leave the scaler as it was. Optimizers are known by address and must
// live until `update`. Not thread-safe.
//
//   ready     unscale_  divides the gradients there are: unscaled. Without any: still ready for
//                       those that come, though a second call is refused until then
//             step      divides, then steps or skips: stepped. Without any: StateError
//   unscaled  unscale_  StateError
//             step      steps or skips by what unscale_ found: stepped. A gradient of a parameter
//                       that had none, or, after another scale(), in the place of one that was
//                       divided: StateError by name. One that is gone is not stepped
//   stepped   both      StateError
//
// `update` (if anything was checked), `update(x)` and `load_state_dict` make all optimizers ready.
// A step that throws leaves the optimizer "unscaled", or "ready" if it is a ScaledStep that divides
// the gradients itself; so step may be called again. What a further backward() adds in place to
// divided gradients is not seen.
//
// Source: torch.amp.GradScaler, PyTorch 2.11 (torch/amp/grad_scaler.py). Differences, all on
// purpose: the scale grows when the tracker reaches *or passes* the interval; there are rails and
// hysteresis; an overflow made by unscaling itself (S < 1) is found; and errors name the parameter.
class AMP_API GradScaler {
 public:
  explicit GradScaler(GradScalerOptions options = {});
  ~GradScaler();
  GradScaler(GradScaler&&) noexcept;
  GradScaler& operator=(GradScaler&&) noexcept;

  // Returns loss x S on the loss's device. A 0-dim fp16 or bf16 loss gives fp32; a tensor of one
  // dimension or more keeps its dtype and can overflow. Disabled: returns the loss itself. Does not
  // wait for the device.
  at::Tensor scale(const at::Tensor& loss);
  std::vector<at::Tensor> scale(at::TensorList outputs);

  // Divides the gradients of the optimizer's parameters by S, in place, and notes whether any was
  // or became non-finite. Gradients may be fp32, bf16, fp64, dense or sparse, on several devices.
  // Unscaled fp16 gradients would be flushed to zero: for an optimizer of amp::optim they are
  // replaced by fp32 ones, for others they are refused by name. A gradient that was divided for
  // another optimizer since the last `update` is refused by name, too, because it would be divided
  // twice. Gradients whose elements share memory, or that inference mode made, are replaced. Does
  // not wait for the device.
  void unscale_(torch::optim::Optimizer& optimizer);

  // Unscales unless `unscale_` did, then runs `optimizer.step()` unless a gradient was non-finite.
  // Leaves the gradients unscaled either way. After a skip, what the forward pass did to the
  // model's buffers stays, as in torch; a TrainStep takes it back. Reads the overflow flag on the
  // host, so it waits for the device once; it does not wait with an optimizer that is an
  // optim::ScaledStep, whose scaled_step() it calls instead. Refuses LBFGS by name, because it
  // evaluates the loss again inside its step.
  StepResult step(torch::optim::Optimizer& optimizer);

  // unscale_, clipping by the global L2 norm and step in one call, for an optimizer that has a
  // fused step, such as those of amp::optim. max_grad_norm: 0 does not clip. grad_norm, if given,
  // becomes the norm before clipping (fp32, 0-dim) where it is clipped by. Does not wait for the
  // device. Throws as step() does, InvalidArgument for other optimizers, and StateError after
  // unscale_ or step.
  StepResult fused_step(torch::optim::Optimizer& optimizer, double max_grad_norm = 0,
                        at::Tensor* grad_norm = nullptr);

  // Ends the iteration: backs off after an overflow in any optimizer, else counts towards growth.
  // Throws NumericalError, after its own work is done, at the max_consecutive_skips-th skipped
  // iteration in a row. Does not wait for the device: after a ScaledStep on one, S is updated
  // there, and the count of skips in a row is the one that the host has heard of, which may be some
  // updates old.
  void update();
  // Ends the iteration and sets S; the growth tracker stays. Needs no step before it.
  void update(double new_scale);

  // Ends the iteration as if nothing had been unscaled or stepped: S and the growth tracker stay.
  void discard_iteration();

  // S as fp32 of one element on its device, where get_scale() would wait for it; else undefined.
  at::Tensor scale_on_device() const;
  // S; 1 if disabled. Waits for the device if the last update was made there.
  double get_scale() const;
  bool is_enabled() const;
  double get_growth_factor() const;
  void set_growth_factor(double factor);
  double get_backoff_factor() const;
  void set_backoff_factor(double factor);
  std::int64_t get_growth_interval() const;
  void set_growth_interval(std::int64_t interval);

  // What a checkpoint needs; empty if disabled. StateError between `unscale_` and `update`. Waits
  // as get_scale does.
  GradScalerState state_dict() const;
  // Takes a state exactly, also one outside the rails, and ends the iteration. A disabled scaler
  // ignores it. Throws StateError for an empty state, and InvalidArgument for values that no scaler
  // can have. One of them is a scale that is not finite and positive in fp32, or whose reciprocal
  // is not: every step would be skipped for ever. Then nothing is changed.
  void load_state_dict(const GradScalerState& state);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Multiplies the gradients of these parameters by `factor` (finite), in place. It is
// constant-factor gradient scaling, for accumulation by hand or a loss weight that is known late.
// Gradients may have any floating-point dtype, be dense or sparse, and lie on any device.
// Parameters without a gradient are passed over, and a gradient that comes twice is scaled once.
// Does not wait for the device. Throws InvalidArgument.
AMP_API void scale_grad_(at::TensorList parameters, double factor);

}  // namespace amp
