// One run of results.json.
#include "app/results/run_record.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace ampersand {

using nlohmann::json;

namespace {

constexpr std::int64_t kHistoryPoints = 200;

json number_or_null(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

}  // namespace

void RunRecord::add(const json& event) {
  const std::string kind = event.value("event", "");
  if (kind == "run") {
    for (const char* name : {"precision", "device", "seed", "policy", "loss_scaling"})
      run_[name] = event.at(name);
    for (const char* name : {"recipe", "perturbed"})
      if (event.contains(name)) run_[name] = event.at(name);
    stretch_ =
        std::max<std::int64_t>(1, event.value("planned_steps", std::int64_t{1}) / kHistoryPoints);
  } else if (const auto step = step_event(event)) {
    add_step(*step);
  } else if (kind == "evaluation") {
    add_evaluation(event);
  } else if (kind == "gradients") {
    add_gradients(event);
  } else if (kind == "sample") {
    run_["samples"].push_back(event.at("text"));
  } else if (kind == "inspection") {
    run_["inspection"] = event;
    run_["inspection"].erase("run");
    run_["inspection"].erase("event");
  } else if (kind == "memory") {
    add_memory(event);
  } else if (kind == "end") {
    add_end(event);
  }
}

void RunRecord::add_step(const StepEvent& event) {
  if (event.skipped) skipped_at_.push_back(event.step);
  if (event.is_flush) return;
  step_ = event.step;
  // A point where the scale changes, so that its curve shows every corner.
  if (event.scale != scale_) history_.push_back({{"step", step_}, {"scale", event.scale}});
  scale_ = event.scale;
  seconds_ += event.seconds.value_or(0);
  loss_sum_ += event.loss_or_nan();
  ++in_stretch_;
  if (in_stretch_ == stretch_) close_stretch();
}

void RunRecord::close_stretch() {
  if (in_stretch_ == 0) return;
  const auto loss = number_or_null(loss_sum_ / static_cast<double>(in_stretch_));
  history_.push_back({{"step", step_}, {"train_loss", loss}, {"scale", scale_}});
  in_stretch_ = 0;
  loss_sum_ = 0;
}

void RunRecord::add_evaluation(const json& event) {
  close_stretch();
  if (history_.empty() || history_.back().at("step") != event.at("step")) {
    history_.push_back({{"step", event.at("step")}, {"train_loss", nullptr}, {"scale", scale_}});
  }
  for (const auto& [name, field] : event.items()) {
    const bool is_measure = field.is_number() || field.is_null();
    if (!is_measure || name == "run" || name == "step" || name.starts_with("ema_")) continue;
    const auto value = field.is_null() ? json() : number_or_null(field.get<double>());
    history_.back()[name] = value;
    run_[name] = value;
  }
}

// The shares, step by step, and the last histogram whole.
void RunRecord::add_gradients(const json& event) {
  json point = {{"step", event.at("step")}, {"scale", event.at("scale")}};
  for (const char* kind : {"activations", "weights"}) {
    for (const char* share : {"zero", "lost", "lost_scaled", "overflow_scaled"})
      point[kind][share] = event.at(kind).at(share);
  }
  run_["gradients"]["history"].push_back(point);
  run_["gradients"]["last"] = event;
  run_["gradients"]["last"].erase("run");
  run_["gradients"]["last"].erase("event");
}

void RunRecord::add_memory(const json& event) {
  json memory = json::object();
  for (const char* name : {"weights", "copies", "masters", "gradients", "optimizer", "other"}) {
    memory[name] = event.at(name);
  }
  const auto floating = event.at("activations").get<std::int64_t>();
  const auto integer = event.at("integers").get<std::int64_t>();
  memory["activations"] = floating + integer;
  run_["memory"] = memory;
  run_["activation_bytes"] = floating;
  run_["activation_integer_bytes"] = integer;
}

void RunRecord::add_end(const json& event) {
  close_stretch();
  const std::string ending = event.at("ending");
  run_["ending"] = ending;
  run_["diverged"] = ending == "diverged" || ending == "stopped";
  run_["diverged_at_step"] = run_["diverged"].get<bool>() ? event.at("step") : json(nullptr);
  run_["failed"] = ending == "failed";
  run_["failed_at_step"] = ending == "failed" ? event.at("step") : json(nullptr);
  if (event.contains("thrown")) run_["thrown"] = event.at("thrown");
  run_["stopped"] = event.contains("reason") ? event.at("reason") : json(nullptr);
  for (const char* name :
       {"final_scale", "peak_memory_bytes", "samples_per_second", "tokens_per_second"}) {
    if (event.contains(name)) run_[name] = event.at(name);
  }
}

json RunRecord::as_json() const {
  auto copy = *this;
  copy.close_stretch();
  auto run = copy.run_;
  if (!run.contains("ending")) {
    run["ending"] = "interrupted";
    run["diverged"] = run["failed"] = false;
    run["diverged_at_step"] = run["failed_at_step"] = run["stopped"] = nullptr;
    run["final_scale"] = scale_;
  }
  run["steps"] = step_;
  run["seconds"] = seconds_;
  run["skipped_steps"] = skipped_at_.size();
  run["skipped_at"] = skipped_at_;
  // The last stretch of training: what the end of the loss curve shows.
  json last = nullptr;
  for (const auto& point : copy.history_) {
    if (const auto loss = point.value("train_loss", json()); loss.is_number()) last = loss;
  }
  const bool is_lost = run["diverged"].get<bool>() || run["failed"].get<bool>();
  run["train_loss"] = is_lost ? json(nullptr) : last;
  run["history"] = copy.history_;
  return run;
}

}  // namespace ampersand
