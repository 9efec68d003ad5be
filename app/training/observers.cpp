// The small observers of a training.
#include "app/training/observers.h"

#include <nlohmann/json.hpp>

#include "amp/cast_log.h"
#include "app/training/gradient_range.h"
#include "app/training/run_events.h"
#include "app/training/schedule.h"

namespace ampersand {

using nlohmann::json;

void ScheduledRate::before_step(Passes&, StepEvent& event) {
  const auto groups = (run_.planned + run_.recipe.accumulation - 1) / run_.recipe.accumulation;
  const auto& settings = run_.settings;
  const double rate = learning_rate(
      {settings.schedule, settings.learning_rate, settings.warmup, groups}, run_.updates);
  for (auto& group : run_.optimizer->param_groups()) group.options().set_lr(rate);
  event.learning_rate = rate;
}

void GradientRanges::before_step(Passes& passes, StepEvent&) {
  const auto every = run_.settings.gradient_range;
  if (every <= 0 || (run_.step - 1) % every != 0) return;
  const auto wide = passes.wide_batch();
  const auto range = passes.guarded([&] {
    return gradient_range(*run_.model, run_.device, [&] { return passes.loss_of(wide); });
  });
  auto event = gradient_range_json(range, run_.train_step->scaler().get_scale());
  event.update({{"event", "gradients"}, {"step", run_.step}});
  run_.send(event);
  run_.pace.start();  // that is no part of the training
}

bool MemoryCount::takes_step() const {
  const auto since = run_.step - run_.first - 1;
  const auto group = run_.recipe.accumulation;
  return !run_.memory.counted() && since >= group && since % group == 0;
}

amp::StepReport MemoryCount::step(Passes& passes) {
  return run_.memory.count(*run_.model,
                           [&](const auto& after_forward) { return passes.step(after_forward); });
}

void MemoryCount::after_training() {
  if (run_.memory.counted() && run_.device.is_cpu()) run_.send(run_.memory.event(*run_.optimizer));
}

bool Explanation::takes_step() const {
  return run_.settings.explain && run_.step == run_.first + 1;
}

amp::StepReport Explanation::step(Passes& passes) {
  const amp::CastLog log;
  auto report = passes.step();
  const auto policy = policy_of(run_.recipe, run_.device);
  json ops = json::array();
  for (const auto& count : log.counts()) {
    ops.push_back({{"op", count.op},
                   {"why", policy.explain(count.op, count.by)},
                   {"calls", count.calls},
                   {"casts", count.casts},
                   {"bytes", count.bytes},
                   {"served", count.served}});
  }
  run_.send({{"event", "casts"}, {"step", run_.step}, {"policy", policy.name()}, {"ops", ops}});
  return report;
}

void Averaging::after_step(const amp::StepReport& report, StepEvent&) {
  if (!report.stepped()) return;
  ++run_.updates;
  if (run_.ema.has_value()) run_.ema->update();
}

void ScalerTelemetry::after_step(const amp::StepReport& report, StepEvent& event) {
  if (!report.at_boundary() || run_.recipe.loss_scaling == amp::LossScaling::none) return;
  event.found_inf = found_inf_by_group(report, *run_.optimizer);
  if (run_.recipe.loss_scaling == amp::LossScaling::dynamic)
    event.growth_tracker = run_.train_step->scaler().state_dict().growth_tracker;
}

}  // namespace ampersand
