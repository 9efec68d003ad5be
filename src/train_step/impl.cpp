// The steps a to h, in order, and the way back when one of them throws.
#include "src/train_step/impl.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <c10/util/Type.h>

#include <algorithm>
#include <exception>
#include <sstream>
#include <typeinfo>
#include <utility>

#include "amp/error.h"
#include "src/cpu_math/switches.h"
#include "src/grad_scaler/check_optimizer.h"
#include "src/optim/scaled_step.h"
#include "src/optim/weight_copies.h"
#include "src/train_step/check_model.h"
#include "src/train_step/clip.h"

namespace amp {
namespace {

const Recipe& checked(const Recipe& recipe, torch::optim::Optimizer& optimizer) {
  recipe.validate();
  scaling::check_optimizer(optimizer, "TrainStep");
  train_step::check_scaling("TrainStep", recipe, optimizer);
  return recipe;
}

// Checks the model first, because its errors have the parameters' names.
c10::Device checked_device(const train_step::Model& model, const torch::optim::Optimizer& optimizer,
                           const Recipe& recipe) {
  const auto device = train_step::checked_device("TrainStep", model.tensors(), recipe);
  train_step::check_parameters("TrainStep", optimizer);
  return device;
}

void check_loss(const at::Tensor& loss) {
  if (!loss.defined())
    throw InvalidArgument("TrainStep: the loss function returned an undefined tensor");
  if (loss.numel() != 1 || !loss.is_floating_point()) {
    std::ostringstream message;
    message << "TrainStep: the loss must be one floating-point element, got shape " << loss.sizes()
            << " of " << loss.scalar_type() << "; reduce it, with mean() for one";
    throw InvalidArgument(message.str());
  }
  if (!loss.requires_grad()) {
    throw InvalidArgument(
        "TrainStep: the loss does not depend on any parameter that needs a gradient");
  }
}

// Calls act(parameter) for each parameter of the groups.
template <typename Act>
void for_each_parameter(torch::optim::Optimizer& optimizer, Act&& act) {
  for (auto& group : optimizer.param_groups()) {
    for (auto& parameter : group.params()) act(parameter);
  }
}

std::vector<at::Tensor> gradients_of(torch::optim::Optimizer& optimizer) {
  std::vector<at::Tensor> found;
  for_each_parameter(optimizer, [&](at::Tensor& parameter) {
    if (parameter.grad().defined()) found.push_back(parameter.grad());
  });
  return found;
}

constexpr auto kHalfUpdated =
    "the step failed on its way, so weights and optimizer state may be half updated: load the last "
    "checkpoint, or go on if that does no harm";

}  // namespace

// Everything that can be refused is checked before the masters are made, because they change model
// and optimizer.
TrainStep::Impl::Impl(train_step::Model given, torch::optim::Optimizer& stepper,
                      const Recipe& choice)
    : optimizer(stepper),
      recipe(checked(choice, stepper)),
      model(std::move(given)),
      device(checked_device(model, stepper, choice)),
      scaler(train_step::scaler_options(choice)),
      masters(model.tensors, {&stepper}, choice),
      has_fused_step(optim::has_fused_step(stepper)) {
  if (device.is_cpu()) cpu_math::want_low_precision_math(recipe.compute_dtype);
}

// Makes the lists of what a call may change again, if the groups hold something else than before.
void TrainStep::Impl::know_parameters() {
  masters.adopt(optimizer);
  std::size_t known = 0;
  bool same = true;
  for_each_parameter(optimizer, [&](at::Tensor& parameter) {
    same = same && known < stepped.size() && stepped[known] == parameter.unsafeGetTensorImpl();
    ++known;
  });
  if (same && known == stepped.size()) return;
  std::vector<at::Tensor> parameters;
  stepped.clear();
  for_each_parameter(optimizer, [&](at::Tensor& parameter) {
    stepped.push_back(parameter.unsafeGetTensorImpl());
    parameters.push_back(parameter);
  });
  for (const auto& item : model.tensors()) {
    if (item.is_parameter && item.tensor.defined()) parameters.push_back(item.tensor);
  }
  gradients.watch(parameters, stepped.size());
  if (!recipe.restore_buffers) return;
  group_buffers.watch(model.buffers());
  if (recipe.accumulation > 1) micro_batch_buffers.watch(model.buffers());
}

void TrainStep::Impl::begin() {
  know_parameters();
  masters.follow_dtypes();
  optim::weight_copies::begin_checks();  // in a region that is open already, too
  gradients.keep();
  if (!recipe.restore_buffers) return;
  if (micro_batches == 0) {
    group_buffers.keep();
  } else {
    group_buffers.keep_others();
    micro_batch_buffers.keep();
  }
}

// Where a step has one micro-batch, gradients need not be fp32 before the step has unscaled them.
// This holds only for gradients that come from a single cast and that nobody sees.
void TrainStep::Impl::release_gradients() {
  for (const auto& leaf : graph.leaves()) {
    if (leaf.edges == 1 && leaf.casts_only && gradients.is_stepped(leaf.variable()))
      gradient_dtypes.release(leaf.variable());
  }
}

void TrainStep::Impl::backward(const at::Tensor& loss) {
  const auto share =
      recipe.accumulation == 1 ? loss : loss / static_cast<double>(recipe.accumulation);
  const auto scaled = scaler.scale(share);
  const bool may_release = has_fused_step && recipe.accumulation == 1;
  graph.walk(scaled, may_release);
  gradients.keep_leaves(graph);
  const bool unseen = !graph.runs_foreign_code();
  if (unseen) {
    if (may_release) release_gradients();
    gradients.move_aside(graph);
  } else {
    gradients.copy_shared();
  }
  scaled.backward();
  if (unseen) gradients.add_what_was_moved();
  graph.clear();
  masters.take_gradients(optimizer);
}

// Puts everything back as if the call had not been made, when the group had `before` micro-batches.
void TrainStep::Impl::roll_back(std::int64_t before) {
  graph.clear();
  gradients.put_back();
  gradient_dtypes.restore();
  if (micro_batches != before) scaler.discard_iteration();
  micro_batches = before;
  if (!recipe.restore_buffers) return;
  (before == 0 ? group_buffers : micro_batch_buffers).put_back();
  if (before > 0) group_buffers.note_end();
}

// The loss of each micro-batch was divided by the full count; this makes a partial group's gradient
// a mean.
void TrainStep::Impl::complete_mean() {
  if (micro_batches == recipe.accumulation) return;
  const double factor =
      static_cast<double>(recipe.accumulation) / static_cast<double>(micro_batches);
  for (auto& gradient : gradients_of(optimizer)) gradient.mul_(factor);
}

// Runs the step of an optimizer that may fail half-way. One of ours writes nothing while it can
// still fail; of another nobody knows.
StepResult TrainStep::Impl::step_of_stock() {
  try {
    return scaler.step(optimizer);
  } catch (const Error&) {
    throw;  // a refusal, before the step
  } catch (c10::Error& error) {
    error.add_context(std::string("TrainStep: ") + kHalfUpdated);
    throw;
  } catch (const std::exception& error) {
    std::throw_with_nested(StateError("TrainStep: " + c10::demangle(typeid(optimizer).name()) +
                                      " threw \"" + error.what() + "\"; " + kHalfUpdated));
  }
}

// Steps e to g.
StepResult TrainStep::Impl::run_optimizer(at::Tensor& norm) {
  if (has_fused_step && micro_batches == recipe.accumulation)
    return scaler.fused_step(optimizer, recipe.max_grad_norm, &norm);
  scaler.unscale_(optimizer);
  complete_mean();
  if (recipe.max_grad_norm > 0) {
    const auto found = gradients_of(optimizer);
    norm = train_step::global_norm(found);
    train_step::clip_to_norm_(found, norm, recipe.max_grad_norm);
  }
  return has_fused_step ? scaler.step(optimizer) : step_of_stock();
}

StepResult TrainStep::Impl::run_step(at::Tensor& norm) {
  const c10::NoGradGuard no_grad;
  gradients.copy_shared();
  masters.follow_model();
  return run_optimizer(norm);
}

// Step h, after a step or a skip.
void TrainStep::Impl::finish_group(const StepResult& result) {
  const c10::NoGradGuard no_grad;
  // If the host does not know whether the step ran, the masters are either new or unchanged, so
  // writing them back is right in both cases.
  if (!result.ready() || result.stepped()) masters.write_back(optimizer);
  if (recipe.restore_buffers) {
    if (!result.ready())
      group_buffers.put_back_where(result.found_inf());
    else if (result.skipped())
      group_buffers.put_back();
  }
  optimizer.zero_grad();
  gradients.drop();
  gradient_dtypes.restore();
  micro_batches = 0;
  scaler.update();
}

// Notes the present scale, without waiting for it.
void TrainStep::Impl::note_scale(StepReport& report) const {
  report.scale_on_device_ = scaler.scale_on_device();
  if (!report.scale_on_device_.defined()) report.scale_ = scaler.get_scale();
}

StepReport TrainStep::Impl::micro_batch(const std::function<at::Tensor()>& loss) {
  StepReport report;
  note_scale(report);
  begin();
  const auto before = micro_batches;
  try {
    {
      // The graph must end before the step, because the step could not write a copy of a weight
      // that the graph holds.
      at::Tensor value;
      {
        const auto autocast = recipe.autocast(device.type());
        value = loss();
      }
      check_loss(value);
      backward(value);
      report.loss_ = value.detach();
    }
    report.at_boundary_ = ++micro_batches == recipe.accumulation;
    if (report.at_boundary_) report.result_ = run_step(report.grad_norm_);
  } catch (...) {
    roll_back(before);
    throw;
  }
  if (report.at_boundary_) {
    finish_group(report.result_);
  } else {
    gradients.drop();
    if (recipe.restore_buffers) group_buffers.note_end();
  }
  return report;
}

StepReport TrainStep::Impl::flush() {
  StepReport report;
  note_scale(report);
  report.at_boundary_ = micro_batches > 0;
  if (!report.at_boundary_) return report;
  know_parameters();
  gradients.keep();
  if (recipe.restore_buffers) group_buffers.keep_others();
  try {
    report.result_ = run_step(report.grad_norm_);
  } catch (...) {
    gradients.put_back();
    scaler.discard_iteration();
    throw;
  }
  finish_group(report.result_);
  return report;
}

void TrainStep::Impl::take_loaded_weights() {
  masters.write_back(optimizer);
  if (recipe.restore_buffers && micro_batches > 0) group_buffers.keep();
}

}  // namespace amp
