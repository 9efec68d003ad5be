// GradScaler: the order of the calls, and what each optimizer has been through since the last
// update.
#include "amp/grad_scaler.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/full.h>

#include <map>
#include <sstream>
#include <utility>

#include "amp/error.h"
#include "src/grad_scaler/check_optimizer.h"
#include "src/grad_scaler/scale_rule.h"
#include "src/grad_scaler/unscale.h"
#include "src/grad_scaler/validate.h"

namespace amp {
namespace {

enum class Stage { ready, unscaled, stepped };

struct OptimizerRecord {
  Stage stage = Stage::ready;
  scaling::FoundInf found_inf;
};

std::string shown(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

// Steps, and makes the change known. C++ SGD writes weights through `.data()`, which leaves their
// version as it was: a cache that trusts the version would go on serving the old values, and so
// would autocast's own in a region that is still open.
void run(torch::optim::Optimizer& optimizer) {
  optimizer.step();
  at::autocast::clear_cache();
  for (auto& group : optimizer.param_groups()) {
    for (auto& parameter : group.params()) {
      if (parameter.grad().defined() && !parameter.is_inference()) {
        parameter.unsafeGetTensorImpl()->bump_version();
      }
    }
  }
}

}  // namespace

StepResult StepResult::skip(std::string reason) {
  StepResult result;
  result.reason_ = std::move(reason);
  return result;
}

struct GradScaler::Impl {
  GradScalerOptions options;
  scaling::Scale scale;
  bool scaled = false;  // `scale` was called, ever
  std::map<const torch::optim::Optimizer*, OptimizerRecord> records;

  explicit Impl(const GradScalerOptions& given) : options(given) {
    scale.value = static_cast<float>(given.init_scale);
    scale.hysteresis_left = given.hysteresis;
  }

  scaling::Rule rule() const {
    return {options.growth_factor, options.backoff_factor, options.growth_interval,
            options.hysteresis,    options.min_scale,      options.max_scale};
  }

  void require_scaled(const char* call) const {
    if (scaled) return;
    throw StateError(
        std::string("GradScaler: ") + call +
        " before the first scale(); call scaler.scale(loss).backward() earlier in the iteration");
  }

  Stage stage_of(const torch::optim::Optimizer& optimizer) const {
    const auto found = records.find(&optimizer);
    return found == records.end() ? Stage::ready : found->second.stage;
  }

  void unscale(torch::optim::Optimizer& optimizer) {
    auto flags = scaling::unscale_gradients(optimizer, scale.value);
    records[&optimizer] = {Stage::unscaled, std::move(flags)};
  }

  bool any_found() const {
    for (const auto& [optimizer, record] : records) {
      if (scaling::any_found(record.found_inf)) return true;
    }
    return false;
  }

  void end_iteration() {
    records.clear();
    at::autocast::clear_cache();
  }
};

GradScaler::GradScaler(GradScalerOptions options) {
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
  return loss * at::full({}, impl_->scale.value,
                         at::TensorOptions().dtype(c10::kFloat).device(loss.device()));
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
          "update(); "
          "call it once, after the last backward() and before step()");
    case Stage::stepped:
      throw StateError(
          "GradScaler: unscale_() is being called after step(); call it before, or call update() "
          "first");
    case Stage::ready:
      impl_->unscale(optimizer);
  }
}

StepResult GradScaler::step(torch::optim::Optimizer& optimizer) {
  if (!impl_->options.enabled) {
    run(optimizer);
    return {};
  }
  impl_->require_scaled("step()");
  scaling::check_optimizer(optimizer, "GradScaler");
  if (impl_->stage_of(optimizer) == Stage::stepped) {
    throw StateError(
        "GradScaler: step() has already been called on this optimizer since the last update()");
  }
  const bool ready = impl_->stage_of(optimizer) == Stage::ready;
  if (ready) impl_->unscale(optimizer);

  auto& record = impl_->records.at(&optimizer);
  if (record.found_inf.empty()) {
    if (ready) impl_->records.erase(&optimizer);
    throw StateError(
        "GradScaler: no parameter of this optimizer has a gradient; call backward() on a loss that "
        "depends on them before step()");
  }
  const bool overflow = scaling::any_found(record.found_inf);
  if (!overflow) run(optimizer);
  record.stage = Stage::stepped;
  if (!overflow) return {};
  return StepResult::skip("a gradient was Inf or NaN at loss scale " + shown(get_scale()));
}

void GradScaler::update() {
  if (!impl_->options.enabled) return;
  impl_->require_scaled("update()");
  bool checked = false;
  for (const auto& [optimizer, record] : impl_->records) checked |= !record.found_inf.empty();
  if (!checked) {
    throw StateError(
        "GradScaler: update() without an inf check since the last one; call step() or unscale_() "
        "first");
  }
  impl_->scale = scaling::next_scale(impl_->scale, impl_->rule(), impl_->any_found());
  impl_->end_iteration();
  const auto limit = impl_->options.max_consecutive_skips;
  if (limit > 0 && impl_->scale.consecutive_skips >= limit) {
    throw NumericalError(
        "GradScaler: " + std::to_string(impl_->scale.consecutive_skips) +
        " steps in a row were skipped, the loss scale is down to " + shown(get_scale()) +
        "; the loss or the gradients are non-finite for another reason than the scale");
  }
}

void GradScaler::update(double new_scale) {
  if (!impl_->options.enabled) return;
  impl_->require_scaled("update()");
  scaling::check_new_scale(new_scale, impl_->options);
  impl_->scale.value = static_cast<float>(new_scale);
  impl_->end_iteration();
}

double GradScaler::get_scale() const {
  return impl_->options.enabled ? static_cast<double>(impl_->scale.value) : 1.0;
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
  if (!impl_->records.empty()) {
    throw StateError(
        "GradScaler: state_dict() in the middle of an iteration, after unscale_() or step(); "
        "take it after update()");
  }
  return {get_scale(),
          impl_->options.growth_factor,
          impl_->options.backoff_factor,
          impl_->options.growth_interval,
          impl_->scale.growth_tracker,
          impl_->scale.hysteresis_left,
          impl_->scale.consecutive_skips};
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
  impl_->scale = {static_cast<float>(state.scale), state.growth_tracker, state.hysteresis_left,
                  state.consecutive_skips};
  impl_->records.clear();
}

}  // namespace amp
