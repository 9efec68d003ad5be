// Apex's habits: initialize with an opt_level, and a scale_loss scope around backward().
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amp/export.h"
#include "amp/grad_scaler.h"
#include "amp/train_step.h"

namespace amp {

// "dynamic", or the number that the loss is always multiplied by.
struct AMP_API ApexLossScale {
  ApexLossScale(const char* dynamic);  // NOLINT: implicit, as the argument in Apex
  ApexLossScale(double fixed);         // NOLINT
  std::optional<double> fixed;         // empty: dynamic
};

// Overrides of what the level says; an empty one leaves the level's choice. O1 keeps the model as
// it is, so it takes the first three only where they change nothing. A loss_scale of 1 means no
// loss scaling.
struct ApexOptions {
  std::optional<c10::ScalarType> cast_model_type = {};  // Float, BFloat16 or Half
  std::optional<bool> keep_batchnorm_fp32 = {};
  std::optional<bool> master_weights = {};
  std::optional<ApexLossScale> loss_scale = {};
  std::int64_t num_losses = 1;  // >= 1: loss scales, chosen by scale_loss's loss_id
  double min_loss_scale = std::numeric_limits<float>::min();
  double max_loss_scale = 16777216.0;  // 2^24
  bool enabled = true;                 // false: everything passes through
};

struct ScaleLossOptions {
  std::int64_t loss_id = 0;    // below num_losses
  bool delay_unscale = false;  // leave the gradients scaled: another micro-batch follows
};

class ScaledLoss;

// What initialize returns. While it lives, autocast is on in this thread, in the level's compute
// dtype. Destroy it on the same thread, and in the reverse order of the Autocast regions around it.
// Models and optimizers must outlive it.
class AMP_API ApexHandle {
 public:
  using Optimizers = std::vector<std::reference_wrapper<torch::optim::Optimizer>>;

  ~ApexHandle();
  ApexHandle(ApexHandle&&) noexcept;
  ApexHandle& operator=(ApexHandle&&) = delete;

  // Begins a scope over the optimizers that this loss has gradients for. Throws StateError if a
  // scope of one of them is open, or if its gradients are still scaled by another loss scale.
  ScaledLoss scale_loss(const at::Tensor& loss, torch::optim::Optimizer& optimizer,
                        ScaleLossOptions options = {});
  ScaledLoss scale_loss(const at::Tensor& loss, const Optimizers& optimizers,
                        ScaleLossOptions options = {});

  // Replaces optimizer.step(), which Apex patches. Skips if a scope since the last call met an
  // overflow; otherwise steps, and in O2 writes the masters into the model. Calls optimizer.step()
  // of an optim::ScaledStep, too. Throws StateError while the gradients are scaled. Does not wait
  // for the device.
  StepResult step(torch::optim::Optimizer& optimizer);

  double loss_scale(std::int64_t loss_id = 0) const;  // 1 without loss scaling

  // One state for each loss; each is empty without loss scaling. Both functions throw StateError in
  // a scope and while gradients are scaled. load_state_dict also throws StateError for an empty
  // state, and InvalidArgument for another number of states and for values that no scaler can have.
  // Then nothing is changed.
  std::vector<GradScalerState> state_dict() const;
  void load_state_dict(const std::vector<GradScalerState>& states);

  // The parameters and buffers, by name, that the model at this place in initialize's list has now.
  // In O2 the fp32 masters stand for the parameters, so a checkpoint is fp32. The tensors share
  // memory with the training. A model that was changed or got new parameters is followed, as in a
  // TrainStep.
  NamedTensors weights(std::size_t model = 0) const;

 private:
  friend class ScaledLoss;
  friend struct ApexInitializer;
  struct Impl;
  explicit ApexHandle(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The scope. Its end divides the gradients of this backward pass by the loss scale, adds them to
// the gradients from before the scope, updates the loss scale and clears the cast cache. After an
// overflow it clears the optimizers' gradients, so that a plain optimizer.step() changes nothing.
// Autocast is off inside.
class AMP_API ScaledLoss {
 public:
  // Ends the scope unless close() did, and throws what close() throws. While another exception
  // unwinds the scope, it only gives the gradients from before the scope back, and changes nothing
  // else.
  ~ScaledLoss() noexcept(false);
  ScaledLoss(const ScaledLoss&) = delete;
  ScaledLoss& operator=(const ScaledLoss&) = delete;

  const at::Tensor& operator*() const;   // loss.float() x the loss scale
  const at::Tensor* operator->() const;  // scaled_loss->backward()

  // Reads the overflow flag on the host, so it waits for the device once; it does not with
  // delay_unscale or without loss scaling. Throws InvalidArgument for gradients that cannot be
  // unscaled, naming the parameter.
  void close();

 private:
  friend class ApexHandle;
  struct Impl;
  explicit ScaledLoss(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Prepares models and optimizers for the level:
//   O0  fp32, no casts, no loss scaling
//   O1  fp32 weights, casts op by op, dynamic loss scaling
//   O2  an fp16 model with batch norm in fp32, fp32 masters in the optimizers' groups, dynamic loss
//       scaling
//   O3  fp16 all through, no loss scaling
//
//   auto handle = amp::initialize(*model, optimizer, "O1");
//   for (auto& batch : *loader) {
//     optimizer.zero_grad();
//     auto loss = criterion(model->forward(batch.data), batch.target);
//     {
//       auto scaled_loss = handle.scale_loss(loss, optimizer);
//       scaled_loss->backward();
//     }
//     handle.step(optimizer);
//   }
//
// Throws InvalidArgument for an unknown level, for an override that the level cannot take, and for
// what TrainStep's constructor refuses. Then nothing is changed.
// Source: apex.amp.initialize (apex/amp/frontend.py, handle.py, _process_optimizer.py, scaler.py).
// Differences: a fixed loss scale skips overflows, too. Ops are cast in O2 and O3 as well, so
// inputs need no cast by hand. step() is a function of the handle.
AMP_API ApexHandle initialize(torch::nn::Module& model, torch::optim::Optimizer& optimizer,
                              const std::string& opt_level, ApexOptions options = {});
AMP_API ApexHandle initialize(torch::jit::Module& model, torch::optim::Optimizer& optimizer,
                              const std::string& opt_level, ApexOptions options = {});
// The same for a module in a holder, without `*`.
template <HoldsModule Holder>
ApexHandle initialize(const Holder& model, torch::optim::Optimizer& optimizer,
                      const std::string& opt_level, ApexOptions options = {}) {
  return initialize(module_in(model, "amp::initialize"), optimizer, opt_level, options);
}
AMP_API ApexHandle initialize(const std::vector<std::reference_wrapper<torch::nn::Module>>& models,
                              const ApexHandle::Optimizers& optimizers,
                              const std::string& opt_level, ApexOptions options = {});

// The parameters in the optimizer's groups: in O2 the fp32 masters. For clipping.
AMP_API std::vector<at::Tensor> master_params(torch::optim::Optimizer& optimizer);

}  // namespace amp
