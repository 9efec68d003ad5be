// GradScaler: the order of the calls, and what each optimizer has been through since the last
// update.
#include "amp/grad_scaler.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "amp/error.h"
#include "src/autocast/cast_cache.h"
#include "src/cpu_math/single_copy.h"
#include "src/grad_scaler/announce_step.h"
#include "src/grad_scaler/check_optimizer.h"
#include "src/grad_scaler/loss_scale.h"
#include "src/grad_scaler/state.h"
#include "src/grad_scaler/step_result.h"
#include "src/grad_scaler/unscale.h"
#include "src/grad_scaler/validate.h"
#include "src/optim/scaled_step.h"

namespace amp {
namespace {

enum class Stage { ready, unscaled, stepped };

struct OptimizerRecord {
  Stage stage = Stage::ready;
  scaling::Unscaled checked;
  bool divided = true;        // by the loss scale; otherwise only looked at
  bool scaled_since = false;  // another loss
};

// Multiplies in fp32 and rounds once. On a device a product casts a factor without dimensions to
// the other's dtype, and 65536 is no fp16 number.
at::Tensor product(const at::Tensor& loss, const at::Tensor& scale) {
  const auto dtype = loss.scalar_type();
  const bool low = dtype == c10::kHalf || dtype == c10::kBFloat16;
  if (loss.is_cpu() || loss.dim() == 0 || !low) return loss * scale;
  return (loss.to(c10::kFloat) * scale).to(dtype);
}

[[noreturn]] void throw_no_gradient() {
  throw StateError(
      "GradScaler: no parameter of this optimizer has a gradient; call backward() on a loss that "
      "depends on them before step()");
}

}  // namespace

struct GradScaler::Impl {
  GradScalerOptions options;
  scaling::LossScale scale;
  bool scaled = false;  // `scale` was called, ever
  std::map<const torch::optim::Optimizer*, OptimizerRecord> records;

  explicit Impl(const GradScalerOptions& given)
      : options(given), scale(scaling::first_scale(given)) {}

  scaling::Rule rule() const { return scaling::rule_of(options); }

  void require_scaled(const char* call) const {
    if (scaled) return;
    throw StateError(
        std::string("GradScaler: ") + call +
        " before the first scale(); call scaler.scale(loss).backward() earlier in the iteration");
  }

  // The stage for the gradients that are there now. It is `ready` again after a step that threw
  // before it divided them, and if unscale_ met no gradient and some came later.
  Stage stage_of(torch::optim::Optimizer& optimizer) const {
    const auto found = records.find(&optimizer);
    if (found == records.end()) return Stage::ready;
    const auto& record = found->second;
    if (record.stage != Stage::unscaled) return record.stage;
    const bool met_none = record.checked.found_inf.empty();
    const bool anew =
        !record.divided || (met_none && scaling::device_of_gradients(optimizer).has_value());
    return anew ? Stage::ready : Stage::unscaled;
  }

  // Whether gradients were checked: then update() has something to go by, and state_dict() would
  // come too early.
  bool has_checked() const {
    return std::any_of(records.begin(), records.end(),
                       [](const auto& entry) { return !entry.second.checked.found_inf.empty(); });
  }

  void unscale(torch::optim::Optimizer& optimizer, scaling::Pass pass) {
    std::vector<const scaling::GradientList*> divided_before;
    for (const auto& [other, record] : records) {
      if (other != &optimizer) divided_before.push_back(&record.checked.gradients);
    }
    auto checked = scaling::unscale_gradients(optimizer, scale, rule(), pass, divided_before);
    records[&optimizer] = {Stage::unscaled, std::move(checked), pass == scaling::Pass::divide};
  }

  // Reads the overflow flag on the host, so it may wait, and steps or skips.
  StepResult run(torch::optim::Optimizer& optimizer, const OptimizerRecord& record) {
    if (record.checked.found_inf.any()) {
      return StepResult::skip(scaling::overflow_at(scale.value().value),
                              scaling::non_finite_parameters(optimizer));
    }
    scaling::run_and_announce(optimizer);
    return {};
  }

  // Hands the overflow flag to the step as a tensor, without reading it on the host.
  StepResult run(optim::ScaledStep& step, torch::optim::Optimizer& optimizer,
                 OptimizerRecord& record) {
    const auto& found_inf = record.checked.found_inf;
    const auto flag = found_inf.combined();
    c10::NoGradGuard no_grad;
    const auto scale_then = scale.on(flag.device());  // after the step nothing may fail
    step.scaled_step(record.divided ? at::ones_like(flag) : scale.inverse_on(flag.device()), flag);
    scaling::announce_step(optimizer);
    if (record.checked.has_half) record.checked.gradients = scaling::gradient_list(optimizer);
    auto result = StepResult::pending(flag, scale_then);
    if (!found_inf.known() || !result.skipped()) return result;
    result.non_finite_parameters_ = step.has_fused_step() && !record.divided
                                        ? step.non_finite_parameters()
                                        : scaling::non_finite_parameters(optimizer);
    return result;
  }

  // Updates the scale by what every check of this iteration found. Does it on the host if no device
  // has to be waited for.
  void update() {
    bool known = true;
    for (const auto& [optimizer, record] : records) known &= record.checked.found_inf.known();
    if (known) {
      bool found = false;
      for (const auto& [optimizer, record] : records) found |= record.checked.found_inf.any();
      scale.update(found, rule());
      return;
    }
    scaling::FoundInf all;
    for (const auto& [optimizer, record] : records) {
      if (!record.checked.found_inf.empty()) all.add(record.checked.found_inf.combined());
    }
    scale.update(all.combined(), rule());
  }

  void end_iteration() {
    records.clear();
    autocast::clear_casts();
  }
};

GradScaler::GradScaler(GradScalerOptions options) {
  cpu_math::check_single_copy();
  scaling::check_options(options);
  impl_ = std::make_unique<Impl>(options);
}
GradScaler::~GradScaler() = default;
GradScaler::GradScaler(GradScaler&&) noexcept = default;
GradScaler& GradScaler::operator=(GradScaler&&) noexcept = default;

at::Tensor GradScaler::scale(const at::Tensor& loss) {
  if (!impl_->options.enabled) return loss;
  if (!loss.defined())
    throw InvalidArgument("GradScaler: scale() takes a defined tensor, got an undefined one");
  impl_->scaled = true;
  for (auto& [optimizer, record] : impl_->records) record.scaled_since = true;
  return product(loss, impl_->scale.on(loss.device()));
}

std::vector<at::Tensor> GradScaler::scale(at::TensorList outputs) {
  std::vector<at::Tensor> scaled;
  scaled.reserve(outputs.size());
  for (const auto& output : outputs) scaled.push_back(scale(output));
  return scaled;
}

void GradScaler::unscale_(torch::optim::Optimizer& optimizer) {
  if (!impl_->options.enabled) return;
  impl_->require_scaled("unscale_()");
  switch (impl_->stage_of(optimizer)) {
    case Stage::unscaled:
      throw StateError(
          "GradScaler: unscale_() has already been called on this optimizer since the last "
          "update(); call it once, after the last backward() and before step(); after a "
          "step() that threw, end the iteration with update()");
    case Stage::stepped:
      throw StateError(
          "GradScaler: unscale_() is being called after step(); call it before, or call update() "
          "first");
    case Stage::ready:
      impl_->unscale(optimizer, scaling::Pass::divide);
  }
}

StepResult GradScaler::step(torch::optim::Optimizer& optimizer) {
  if (!impl_->options.enabled) {
    scaling::run_and_announce(optimizer);
    return {};
  }
  impl_->require_scaled("step()");
  scaling::check_optimizer(optimizer, "GradScaler");
  const auto stage = impl_->stage_of(optimizer);
  if (stage == Stage::stepped) {
    throw StateError(
        "GradScaler: step() has already been called on this optimizer since the last update()");
  }
  auto* scaled_step = dynamic_cast<optim::ScaledStep*>(&optimizer);
  if (stage == Stage::ready) {
    if (!scaling::device_of_gradients(optimizer).has_value()) throw_no_gradient();
    const bool divides_itself = scaled_step != nullptr && scaled_step->takes_scaled_gradients();
    impl_->unscale(optimizer, divides_itself ? scaling::Pass::check_only : scaling::Pass::divide);
  }
  auto& record = impl_->records.at(&optimizer);
  if (record.checked.found_inf.empty()) throw_no_gradient();
  if (stage == Stage::unscaled)
    scaling::check_gradients_since(optimizer, record.checked, record.scaled_since);
  auto result = scaled_step != nullptr ? impl_->run(*scaled_step, optimizer, record)
                                       : impl_->run(optimizer, record);
  record.stage = Stage::stepped;
  return result;
}

StepResult GradScaler::fused_step(torch::optim::Optimizer& optimizer, double max_grad_norm,
                                  at::Tensor* grad_norm) {
  auto* fused = optim::fused_step_of(optimizer);
  if (fused == nullptr) {
    throw InvalidArgument("GradScaler: fused_step() takes an optimizer that has one, got " +
                          c10::demangle(typeid(optimizer).name()) +
                          "; call unscale_(), clip, and call step()");
  }
  optim::FusedStepOptions options{.max_grad_norm = max_grad_norm};
  at::Tensor scale_then;  // made before the step, after which nothing may fail
  const auto device = scaling::device_of_gradients(optimizer);
  if (impl_->options.enabled) {
    impl_->require_scaled("fused_step()");
    if (impl_->stage_of(optimizer) != Stage::ready) {
      throw StateError(
          "GradScaler: fused_step() comes in the place of unscale_() and step(), of which one has "
          "been called on this optimizer since the last update()");
    }
    if (!device.has_value()) throw_no_gradient();
    options.inv_scale = impl_->scale.inverse_on(*device);
    scale_then = impl_->scale.on(*device);
  }
  const auto outcome = fused->fused_step(options);
  scaling::announce_step(optimizer);
  if (grad_norm != nullptr && max_grad_norm > 0) *grad_norm = outcome.grad_norm;
  if (!impl_->options.enabled) return {};
  OptimizerRecord record{Stage::stepped, {}, false};
  record.checked.found_inf.add(outcome.found_inf);
  auto result = StepResult::pending(outcome.found_inf, scale_then);
  if (record.checked.found_inf.known() && result.skipped())
    result.non_finite_parameters_ = fused->non_finite_parameters();
  impl_->records[&optimizer] = std::move(record);
  return result;
}

void GradScaler::update() {
  if (!impl_->options.enabled) return;
  impl_->require_scaled("update()");
  if (!impl_->has_checked()) {
    throw StateError(
        "GradScaler: update() without an inf check since the last one; call step() or unscale_() "
        "first");
  }
  impl_->update();
  impl_->end_iteration();
  const auto limit = impl_->options.max_consecutive_skips;
  const auto& seen = impl_->scale.last_seen();
  if (limit > 0 && seen.consecutive_skips >= limit) {
    throw NumericalError(
        "GradScaler: " + std::to_string(seen.consecutive_skips) +
        " steps in a row were skipped, the loss scale is down to " + scaling::shown(seen.value) +
        "; the loss or the gradients are non-finite for another reason than the scale");
  }
}

void GradScaler::update(double new_scale) {
  if (!impl_->options.enabled) return;
  impl_->require_scaled("update()");
  scaling::check_new_scale(new_scale, impl_->options);
  auto scale = impl_->scale.value();
  scale.value = static_cast<float>(new_scale);
  impl_->scale.set(scale);
  impl_->end_iteration();
}

void GradScaler::discard_iteration() { impl_->end_iteration(); }

at::Tensor GradScaler::scale_on_device() const {
  if (!impl_->options.enabled || !impl_->scale.is_on_device()) return {};
  return impl_->scale.on(impl_->scale.device());
}

double GradScaler::get_scale() const {
  return impl_->options.enabled ? static_cast<double>(impl_->scale.value().value) : 1.0;
}
bool GradScaler::is_enabled() const { return impl_->options.enabled; }

double GradScaler::get_growth_factor() const { return impl_->options.growth_factor; }
void GradScaler::set_growth_factor(double factor) {
  scaling::check_growth_factor(factor);
  impl_->options.growth_factor = factor;
}
double GradScaler::get_backoff_factor() const { return impl_->options.backoff_factor; }
void GradScaler::set_backoff_factor(double factor) {
  scaling::check_backoff_factor(factor);
  impl_->options.backoff_factor = factor;
}
std::int64_t GradScaler::get_growth_interval() const { return impl_->options.growth_interval; }
void GradScaler::set_growth_interval(std::int64_t interval) {
  scaling::check_growth_interval(interval);
  impl_->options.growth_interval = interval;
}

GradScalerState GradScaler::state_dict() const {
  if (!impl_->options.enabled) return {};
  if (impl_->has_checked()) {
    throw StateError(
        "GradScaler: state_dict() in the middle of an iteration, after unscale_() or step(); "
        "take it after update()");
  }
  return scaling::state_of(impl_->scale.value(), impl_->rule());
}

void GradScaler::load_state_dict(const GradScalerState& state) {
  if (!impl_->options.enabled) return;
  if (state.empty()) {
    throw StateError(
        "GradScaler: the state to load is empty, as a disabled scaler's is; "
        "load one that an enabled scaler saved");
  }
  scaling::check_state(state);
  impl_->options.growth_factor = state.growth_factor;
  impl_->options.backoff_factor = state.backoff_factor;
  impl_->options.growth_interval = state.growth_interval;
  impl_->scale.set(scaling::scale_of(state));
  impl_->records.clear();
}

}  // namespace amp
