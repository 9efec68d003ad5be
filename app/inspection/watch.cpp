// A training under the Inspector.
#include "app/inspection/watch.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "app/models/model_error.h"
#include "app/terminal/interrupt.h"

namespace ampersand {
namespace {

using nlohmann::json;

amp::Inspector inspector_of(Model& model, const amp::TrainStep& step,
                            const amp::InspectorOptions& options) {
  if (auto* module = model.module()) return amp::Inspector(*module, options);
  if (auto* module = model.script_module()) return amp::Inspector(*module, options);
  return amp::Inspector(step.weights(), options);
}

amp::InspectorOptions inspector_options(const WatchOptions& watch, amp::Format format) {
  amp::InspectorOptions options;
  const bool all = watch.every == 1 || watch.beside_fp32;  // of those that it is asked to watch
  options.level = all ? amp::InspectLevel::full : amp::InspectLevel::sampled;
  options.every = watch.every;
  if (watch.beside_fp32) options.fp32_comparison = format;
  return options;
}

// None for a model that is no module.
std::optional<amp::Doctor> doctor_of(Model& model, amp::TrainStep& step,
                                     const amp::DoctorOptions& options) {
  std::optional<amp::Doctor> doctor;
  if (auto* module = model.module()) {
    doctor.emplace(*module, step, options);
  } else if (auto* script = model.script_module()) {
    doctor.emplace(*script, step, options);
  }
  return doctor;
}

// What the model threw, without the program's words around it.
std::exception_ptr cause_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const ModelError& told) {
    return told.cause();
  } catch (...) {
    return error;
  }
}

// "linear" of "linear.default".
std::string without_overload(const std::string& op) { return op.substr(0, op.find('.')); }

}  // namespace

amp::Format format_of(const amp::Recipe& recipe) {
  if (recipe.emulate.has_value() && recipe.emulate->forward != amp::Format::tf32)
    return recipe.emulate->forward;
  return recipe.compute_dtype == c10::kBFloat16 ? amp::Format::bf16 : amp::Format::fp16;
}

Watch::Watch(const amp::Recipe& recipe, const WatchOptions& options)
    : options_(options),
      format_(format_of(recipe)),
      compared_format_(recipe.emulate.has_value() ? recipe.emulate->forward : format_),
      heat_map_(format_),
      dynamic_scaling_(recipe.loss_scaling == amp::LossScaling::dynamic),
      has_fp32_weights_(recipe.model_dtype == c10::kFloat) {}

void Watch::begin_training(Model& model, amp::TrainStep& step) {
  const auto options = inspector_options(options_, compared_format_);
  if (options_.examines) {
    doctor_ =
        doctor_of(model, step,
                  {.inspector = options,
                   .experiment = {.batches = options_.steps + 1, .is_cancelled = interrupted}});
    if (doctor_.has_value() && options_.reference.has_value())
      doctor_->set_reference(*options_.reference);
  }
  if (!doctor_.has_value()) inspector_.emplace(inspector_of(model, step, options));
  if (compares_gradients()) end_to_end_ = EndToEnd::of(model, step);
  inspector().add_names(step.weights());
  inspector().set_dynamic_scaling(dynamic_scaling_);
}

void Watch::keep(const amp::Batch& batch, Model& model) {
  if (!doctor_.has_value() && !end_to_end_.has_value()) return;
  inputs_ = batch.inputs;
  inputs_.insert(inputs_.end(), batch.targets.begin(), batch.targets.end());
  loss_ = [&model, count = batch.inputs.size()](at::TensorList all) {
    const auto targets = all.begin() + static_cast<std::ptrdiff_t>(count);
    try {
      return model.loss(model.forward({all.begin(), targets}), {targets, all.end()});
    } catch (const ModelError& error) {
      std::rethrow_exception(error.cause());
    }
  };
}

bool Watch::watches(std::int64_t step) const {
  return !options_.beside_fp32 || (step - 1) % options_.every == 0;
}

void Watch::expect(const std::vector<at::Tensor>& parameters,
                   const std::vector<at::Tensor>& gradients) {
  inspector().expect(parameters, gradients);
}

void Watch::begin_step(std::int64_t step, double loss_scale) {
  step_ = step;
  if (end_to_end_.has_value()) end_to_end_->look_at(step, inputs_, loss_);
  if (doctor_.has_value()) {
    doctor_->begin_step(step, inputs_, loss_);
  } else {
    inspector_->begin_step(step, loss_scale);
  }
}

bool Watch::end_step(const amp::StepReport& report) {
  if (doctor_.has_value()) {
    doctor_->end_step(report);
  } else {
    inspector_->end_step(report);
  }
  take_map();
  ++seen_;
  return seen_ < options_.steps && !(options_.stop_at_fault && is_settled());
}

std::optional<amp::Thrown> Watch::fail_step(const std::exception_ptr& error) {
  const auto cause = cause_of(error);
  if (doctor_.has_value()) {
    doctor_->fail_step(cause);
  } else {
    inspector_->fail_step(cause);
  }
  take_map();
  return inspector().evidence().steps.back().thrown;
}

void Watch::add_failure(const amp::Thrown& thrown) {
  auto& steps = evidence_.steps;
  if (!steps.empty() && steps.back().thrown.has_value()) {
    steps.back().thrown = thrown;
    return;
  }
  amp::StepEvidence step;
  step.step = steps.empty() ? 0 : steps.back().step;
  step.loss_scale = steps.empty() ? 1 : steps.back().loss_scale;
  step.thrown = thrown;
  steps.push_back(std::move(step));
}

void Watch::take_map() {
  const auto& steps = inspector().evidence().steps;
  if (steps.empty() || !steps.back().recorded) return;
  heat_map_.add(step_, inspector().ops(), inspector().fp32_comparisons());
  take_gradients();
}

void Watch::take_gradients() {
  const auto& parameters = inspector().parameters();
  if (!options_.beside_fp32) return;
  gradient_deviations_.resize(parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    gradient_deviations_[i].first = parameters[i].name;
    gradient_deviations_[i].second.add(parameters[i].deviation);
  }
}

// An overflow at a dynamic scale is a part of its work, unless it goes on: later steps tell.
bool Watch::is_settled() const {
  if (doctor_.has_value()) return doctor_->is_settled();
  const auto& steps = inspector_->evidence().steps;
  if (steps.empty() || !steps.back().non_finite.has_value()) return false;
  const auto verdict = inspector_->diagnosis().verdict;
  if (verdict == amp::Verdict::clean) return false;
  return verdict != amp::Verdict::scale_overflow || !dynamic_scaling_;
}

void Watch::end_training() noexcept {
  if (!inspector_.has_value() && !doctor_.has_value()) return;
  evidence_ = inspector().evidence();
  ops_ = inspector().summary();
  parameters_ = inspector().parameters();
  casts_ = inspector().casts();
  fp32_comparisons_ = inspector().fp32_comparison_summary();
  departure_ = inspector().first_departure();
  if (doctor_.has_value()) examine();
  if (end_to_end_.has_value()) {
    end_to_end_rows_ = end_to_end_->as_json();
    end_to_end_sentence_ = end_to_end_->sentence();
  }
  end_to_end_.reset();
  inspector_.reset();
  doctor_.reset();
}

// An examination that fails leaves the recording, from which there is a verdict, too.
void Watch::examine() noexcept {
  if (evidence_.steps.empty()) return;
  if (interrupted()) {
    examination_failure_ = "interrupted while it was watched";
    return;
  }
  const NoSearch no_search;
  try {
    examination_ = doctor_->examination();
  } catch (const std::exception& error) {
    examination_failure_ = error.what();
  }
}

std::vector<std::string> idle_rules(const amp::Recipe& recipe, const Watch& watch) {
  if (!recipe.policy.has_value()) return {};
  std::set<std::string> met;
  for (const auto& op : watch.ops()) {
    met.insert(without_overload(op.op));
    met.insert(without_overload(op.called_as));
  }
  for (const auto& cast : watch.casts()) {
    met.insert(without_overload(cast.op));
    met.insert(cast.by);
  }
  std::vector<std::string> idle;
  const auto policy = json::parse(recipe.policy->to_json());
  for (const auto& [op, rule] : policy.at("rules").items()) {
    if (!met.contains(without_overload(op))) idle.push_back(op);
  }
  return idle;
}

}  // namespace ampersand
