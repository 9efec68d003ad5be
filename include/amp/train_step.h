// TrainStep: one whole mixed-precision training step as one call.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amp/export.h"
#include "amp/grad_scaler.h"
#include "amp/module_holder.h"
#include "amp/recipe.h"

namespace torch::nn {
class Module;
}
namespace torch::jit {
struct Module;
}

namespace amp {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// What one call of a TrainStep did.
class AMP_API StepReport {
 public:
  // The loss as the user's function returned it: on its device, detached, neither scaled nor
  // divided. Undefined after `flush`. Reading its value may wait for the device.
  const at::Tensor& loss() const { return loss_; }
  // Whether the accumulation group ended: with a step or a skip.
  bool at_boundary() const { return at_boundary_; }
  // These wait for the device as StepResult's do: only after an optimizer that is a ScaledStep.
  bool stepped() const { return at_boundary_ && result_.stepped(); }
  bool skipped() const { return at_boundary_ && result_.skipped(); }
  const std::string& reason() const { return result_.reason(); }  // why a step was skipped
  const StepResult& result() const { return result_; }  // of the step; as after a step without one
  // What this micro-batch's loss was multiplied by; 1 without scaling. Waits for the device after
  // an optimizer that is a ScaledStep.
  double scale() const;
  // The global L2 norm of the unscaled gradients before clipping, at a boundary of a recipe that
  // clips; otherwise empty. Inf or NaN on a skip. Waits for the device.
  std::optional<double> grad_norm() const;

 private:
  friend class TrainStep;
  at::Tensor loss_, grad_norm_;
  StepResult result_;
  at::Tensor scale_on_device_;  // in the place of scale_ while the host does not know it
  double scale_ = 1;
  bool at_boundary_ = false;
};

// The steps of mixed-precision training, in the words of NVIDIA's guide:
//   a. the fp32 parameters are the master weights (O2: copies of them, and the model is fp16);
//   b. the forward pass runs in low precision, under Autocast, on casts of them;
//   c. the loss is multiplied by the loss scale (and divided by the accumulation count);
//   d. the backward pass gives scaled gradients, which add up over the micro-batches of a group
//      (O2: in the fp32 gradients of the masters);
//   e. at the group's end, a gradient that is Inf or NaN makes the step be skipped and the scale
//      shrink;
//   f. otherwise the gradients are unscaled in fp32 and clipped by their global norm;
//   g. the optimizer updates the master weights;
//   h. after growth_interval clean steps the scale grows.
// Gradients are set to none after each step and each skip. A skipped step changes nothing, not even
// the model's buffers (running statistics, for example). The separate calls leave those as the
// overflow made them; see Recipe::restore_buffers.
//
// With an optimizer of amp::optim, e, f and g are two passes over memory in one call. Where every
// micro-batch is a step, the gradients of weights that are used once stay bf16 or fp16 until then,
// on a LibTorch that has Tensor::set_grad_dtype. Nobody sees them: the loss function does not, and
// where hooks or functions of the user's run in the backward pass, every gradient has the dtype
// that torch gives it.
//
//   amp::TrainStep train_step(*model, optimizer, amp::Recipe::fp16());
//   for (auto& batch : *loader) {
//     auto report = train_step([&] { return criterion(model->forward(batch.data), batch.target); });
//     if (report.stepped()) scheduler.step();
//   }
//
// The result is that of the separate calls of Autocast, GradScaler and clipping, bit for bit. Where
// amp::optim clips, it is so up to the last bits of a norm that it takes in double. Throws
// InvalidArgument for a loss that is not one floating-point element or needs no gradient, and
// whatever the user's function, the backward pass, a hook or the step throws. After a call that
// threw, the next call runs as if the failed one had not been made, except for the random numbers
// that it drew: the gradients of the group's earlier micro-batches, those from before, buffers and
// the loss scale are what they were. On the CPU an optimizer of amp::optim writes nothing while it
// can still fail. If a stock one throws in its step, the exception says that weights may be half
// updated (a c10::Error keeps its type, others become a StateError with the original nested). What
// a skipped or failed call did to anything but gradients, weights and buffers, such as a counter of
// the user's, stays. Model and optimizer must outlive the TrainStep. Source: Micikevicius et al.,
// Mixed Precision Training (2018), section 3; NVIDIA's mixed-precision guide.
class AMP_API TrainStep {
 public:
  using Loss = std::function<at::Tensor(at::TensorList inputs)>;

  // model: on the stack or in a holder, or a TorchScript module, which is cast by the dispatcher as
  // C++ modules are. Its floating-point parameters that need gradients must all be on one device,
  // in fp32 or fp64. A recipe with a model_dtype below fp32 (O2, O3) converts the model; with
  // master_weights it also puts the fp32 masters into the optimizer's groups in the parameters'
  // places, with their state. Throws InvalidArgument that names a parameter which does not fit; for
  // a recipe that does not validate; for an optimizer without parameters or with complex ones; for
  // loss scaling of an fp16 model without masters; and for a rule of modules that means no module
  // of the model. Then nothing is changed. recipe() has the policy bound to the model.
  TrainStep(torch::nn::Module& model, torch::optim::Optimizer& optimizer, Recipe recipe);
  TrainStep(torch::jit::Module& model, torch::optim::Optimizer& optimizer, Recipe recipe);
  // The same for a module in a holder, without `*`: a torch::nn::Linear, a std::shared_ptr<Net>.
  // Throws InvalidArgument for an empty one.
  template <HoldsModule Holder>
  TrainStep(const Holder& model, torch::optim::Optimizer& optimizer, Recipe recipe)
      : TrainStep(module_in(model, "TrainStep"), optimizer, std::move(recipe)) {}
  ~TrainStep();
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;

  // One micro-batch: computes loss(inputs) or loss() under autocast and goes on to the step as
  // above. Waits for the device once, at a boundary with loss scaling, unless the optimizer is an
  // optim::ScaledStep; never otherwise.
  StepReport operator()(at::TensorList inputs, const Loss& loss);
  StepReport operator()(const std::function<at::Tensor()>& loss);

  // Steps an accumulation group that is only partly full, with the mean gradient over the
  // micro-batches seen. If there are none, it does nothing and reports no boundary.
  StepReport flush();

  // The parameters and buffers that the model has now, by name. For an O2 model the fp32 masters
  // stand for the parameters. A module that was registered later counts, too: the optimizer steps
  // its parameters once optimizer.add_param_group has them (in O2 they stay fp32). The tensors
  // share memory with the training: clone what must stay.
  NamedTensors weights() const;
  // Copies these values into the model, and into its masters where it has any; dtypes and devices
  // are converted. Throws InvalidArgument naming the tensor that is missing, not of this model, or
  // of another shape; then nothing is changed. amp::load_weights(model, weights) does the same. The
  // model may be changed in another way, by torch::load, copy_ or set_data: the masters follow
  // before the next step. On a GPU a change through `.data()` leaves no trace that they could see.
  void load_weights(const NamedTensors& weights);

  bool at_boundary() const;  // no micro-batch waits for its step
  torch::optim::Optimizer& optimizer();
  const Recipe& recipe() const;
  GradScaler& scaler();  // disabled without loss scaling; for its state, or to change its settings

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace amp
