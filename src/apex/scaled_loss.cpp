// The scale_loss scope. Gradients that are unscaled already are kept apart from those that this
// loss adds.
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include <exception>
#include <sstream>
#include <utility>

#include "amp/error.h"
#include "src/apex/handle.h"
#include "src/autocast/cast_cache.h"
#include "src/grad_scaler/unscale.h"

namespace amp {
namespace {

// Calls do(parameter, i) for each parameter of the groups.
template <typename Do>
void for_each_parameter(torch::optim::Optimizer& optimizer, Do&& act) {
  std::size_t i = 0;
  for (auto& group : optimizer.param_groups()) {
    for (auto& parameter : group.params()) act(parameter, i++);
  }
}

apex::Gradients taken_out(torch::optim::Optimizer& optimizer) {
  apex::Gradients gradients;
  for_each_parameter(optimizer, [&](at::Tensor& parameter, std::size_t) {
    gradients.push_back(std::exchange(parameter.mutable_grad(), at::Tensor()));
  });
  return gradients;
}

// Parameters of groups that were added later come last.
void put_back(torch::optim::Optimizer& optimizer, apex::Gradients& gradients) {
  for_each_parameter(optimizer, [&](at::Tensor& parameter, std::size_t i) {
    if (i < gradients.size()) parameter.mutable_grad() = std::move(gradients[i]);
  });
}

void add(torch::optim::Optimizer& optimizer, apex::Gradients& gradients) {
  for_each_parameter(optimizer, [&](at::Tensor& parameter, std::size_t i) {
    if (i >= gradients.size()) return;
    auto& sum = parameter.mutable_grad();
    auto& more = gradients[i];
    if (!more.defined()) return;
    // A sparse tensor takes no dense one.
    if (!sum.defined()) {
      sum = std::move(more);
    } else if (more.is_sparse() && !sum.is_sparse()) {
      sum.add_(more);
    } else {
      sum = more.add_(sum);
    }
  });
}

void check_loss(const at::Tensor& loss) {
  if (loss.defined() && loss.is_floating_point()) return;
  std::ostringstream message;
  message << "scale_loss: the loss must be a floating-point tensor, got ";
  if (loss.defined()) {
    message << loss.scalar_type();
  } else {
    message << "an undefined one";
  }
  throw InvalidArgument(message.str());
}

void check_waiting(const apex::OptimizerRecord& record, std::int64_t loss_id) {
  if (record.in_scope)
    throw StateError("scale_loss: a scope of this optimizer is open; close() it first");
  if (!record.scaled_for.has_value() || *record.scaled_for == loss_id) return;
  throw StateError("scale_loss: the gradients of this optimizer wait, scaled, for loss " +
                   std::to_string(*record.scaled_for) +
                   "; end its accumulation without delay_unscale before another loss adds to them");
}

// Gradients that wait must have the scale of this loss. If the scope of another optimizer has
// changed the scale meanwhile, they are divided by their own scale.
void match_waiting(apex::OptimizerRecord& record, const apex::Loss& loss) {
  if (!record.scaled_for.has_value() || record.scaled_by == loss.scale.value().value) return;
  const c10::NoGradGuard no_grad;
  scaling::Scale scale;
  scale.value = record.scaled_by;
  const auto checked = scaling::unscale_gradients(*record.optimizer, scaling::LossScale(scale),
                                                  loss.rule, scaling::Pass::divide, {});
  add(*record.optimizer, record.unscaled_part);
  if (checked.found_inf.any()) {
    record.overflow = "a gradient that waited for the end of an accumulation was Inf or NaN";
    record.optimizer->zero_grad();
  }
  record.unscaled_part.clear();
  record.scaled_for.reset();
}

}  // namespace

ScaledLoss ApexHandle::scale_loss(const at::Tensor& loss, torch::optim::Optimizer& optimizer,
                                  ScaleLossOptions options) {
  return scale_loss(loss, Optimizers{optimizer}, options);
}

ScaledLoss ApexHandle::scale_loss(const at::Tensor& loss, const Optimizers& optimizers,
                                  ScaleLossOptions options) {
  check_loss(loss);
  const auto& of_loss = impl_->loss(options.loss_id);
  const auto& scale = of_loss.scale;
  auto scope = std::make_unique<ScaledLoss::Impl>();
  scope->handle = impl_.get();
  scope->options = options;
  for (const auto& optimizer : optimizers) {
    auto& record = impl_->record_of(optimizer.get());
    impl_->masters.adopt(optimizer.get());
    check_waiting(record, options.loss_id);
    scope->optimizers.push_back(&record);
  }
  for (auto* record : scope->optimizers) match_waiting(*record, of_loss);
  scope->exceptions = std::uncaught_exceptions();
  scope->autocast_off = impl_->without_autocast();
  scope->loss = impl_->scales() ? loss.to(c10::kFloat) * scale.on(loss.device()) : loss;
  scope->take_out();
  return ScaledLoss(std::move(scope));
}

void ScaledLoss::Impl::take_out() {
  for (auto* record : optimizers) {
    before.push_back(taken_out(*record->optimizer));
    record->in_scope = true;
  }
}

void ScaledLoss::Impl::leave() {
  for (auto* record : optimizers) record->in_scope = false;
  autocast_off.clear();
  autocast::clear_casts();
  open = false;
}

void ScaledLoss::Impl::skip(apex::OptimizerRecord& record, float scale) const {
  std::ostringstream reason;
  reason << "a gradient of loss " << options.loss_id << " was Inf or NaN at loss scale " << scale;
  record.overflow = reason.str();
  record.optimizer->zero_grad();
}

// Fills the optimizers' gradients with this loss's share, divided by its scale.
void ScaledLoss::Impl::unscale() {
  auto& [scale, rule] = handle->loss(options.loss_id);
  const auto value = scale.value().value;
  std::vector<scaling::Unscaled> checked;
  std::vector<const scaling::GradientList*> divided;
  checked.reserve(optimizers.size());
  for (auto* record : optimizers) {
    checked.push_back(scaling::unscale_gradients(*record->optimizer, scale, rule,
                                                 scaling::Pass::divide, divided));
    divided.push_back(&checked.back().gradients);
  }
  bool any = false, looked = false;
  for (const auto& one : checked) {
    looked |= !one.found_inf.empty();
    any |= one.found_inf.any();
  }
  for (std::size_t i = 0; i < optimizers.size(); ++i) {
    auto& record = *optimizers[i];
    add(*record.optimizer, record.scaled_for.has_value() ? record.unscaled_part : before[i]);
    record.unscaled_part.clear();
    record.scaled_for.reset();
    if (any) skip(record, value);
  }
  if (looked) scale.update(any, rule);
}

// Adds the gradients from before the scope: at once if both are scaled or both are not, else after
// unscaling.
void ScaledLoss::Impl::gather() {
  const bool scales = handle->scales();
  for (std::size_t i = 0; i < optimizers.size(); ++i) {
    auto& record = *optimizers[i];
    handle->masters.take_gradients(*record.optimizer);
    if (!scales || record.scaled_for.has_value()) {
      add(*record.optimizer, before[i]);
    } else if (options.delay_unscale) {
      record.unscaled_part = std::move(before[i]);
    }
    if (!scales || !options.delay_unscale) continue;
    record.scaled_for = options.loss_id;
    record.scaled_by = handle->loss(options.loss_id).scale.value().value;
  }
}

void ScaledLoss::Impl::close() {
  if (!open) return;
  c10::NoGradGuard no_grad;
  try {
    gather();
    if (handle->scales() && !options.delay_unscale) unscale();
  } catch (...) {
    abandon();
    throw;
  }
  leave();
}

void ScaledLoss::Impl::abandon() {
  if (!open) return;
  for (std::size_t i = 0; i < optimizers.size(); ++i) {
    auto& optimizer = *optimizers[i]->optimizer;
    handle->masters.discard_gradients(optimizer);
    put_back(optimizer, before[i]);
  }
  leave();
}

ScaledLoss::ScaledLoss(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ScaledLoss::~ScaledLoss() noexcept(false) {
  if (std::uncaught_exceptions() > impl_->exceptions) {
    impl_->abandon();
  } else {
    impl_->close();
  }
}

const at::Tensor& ScaledLoss::operator*() const { return impl_->loss; }
const at::Tensor* ScaledLoss::operator->() const { return &impl_->loss; }
void ScaledLoss::close() { impl_->close(); }

}  // namespace amp
