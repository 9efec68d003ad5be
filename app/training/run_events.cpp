// The events with which a run begins and ends, and parts of others.
#include "app/training/run_events.h"

#include <algorithm>
#include <vector>

#include "app/files/mappings.h"
#include "app/models/model_error.h"

namespace ampersand {

using nlohmann::json;

std::vector<bool> found_inf_by_group(const amp::StepReport& report,
                                     const torch::optim::Optimizer& optimizer) {
  const auto& culprits =
      report.skipped() ? report.result().non_finite_parameters() : std::vector<at::Tensor>();
  std::vector<bool> found;
  for (const auto& group : optimizer.param_groups()) {
    const auto is_in_group = [&](const at::Tensor& culprit) {
      return std::ranges::any_of(group.params(),
                                 [&](const at::Tensor& one) { return one.is_same(culprit); });
    };
    // A skip whose culprits are not known is everyone's.
    found.push_back(report.skipped() &&
                    (culprits.empty() || std::ranges::any_of(culprits, is_in_group)));
  }
  return found;
}

amp::OpPolicy policy_of(const amp::Recipe& recipe, const c10::Device& device) {
  return recipe.policy.has_value() ? *recipe.policy : amp::OpPolicy::fast(device.type());
}

json run_event(const RunPlan& plan, const Settings& settings, std::int64_t planned) {
  const auto& recipe = plan.precision.recipe;
  json event = {{"event", "run"},
                {"run", plan.run},
                {"precision", plan.precision.name},
                {"seed", plan.seed},
                {"device", settings.device},
                {"policy", policy_of(recipe, c10::Device(settings.device)).name()},
                {"loss_scaling", loss_scaling_name(recipe.loss_scaling)},
                {"recipe", json::parse(recipe.to_json())},
                {"planned_steps", planned}};
  if (plan.perturbation.has_value()) event["perturbed"] = true;
  return event;
}

json end_event(const Run& run, Ending ending, std::int64_t step, const std::string& reason,
               const std::exception_ptr& failure) {
  static const char* const kNames[] = {"finished", "diverged", "stopped", "interrupted", "failed"};
  json event = {{"event", "end"},
                {"ending", kNames[static_cast<int>(ending)]},
                {"step", step},
                {"seconds", run.pace.seconds()},
                {"final_scale", run.train_step->scaler().get_scale()}};
  if (run.device.is_cpu()) event["peak_memory_bytes"] = run.memory.peak_bytes();
  if (!reason.empty()) event["reason"] = reason;
  if (failure) event.update(failure_json(failure));
  if (const auto speed = run.pace.samples_per_second()) {
    event["samples_per_second"] = *speed;
    if (const auto tokens = run.task.tokens_per_sample(); tokens > 0)
      event["tokens_per_second"] = *speed * tokens;
  }
  return event;
}

json failure_json(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const ModelError& error) {
    return {{"reason", error.what()}, {"thrown", thrown_json(error.thrown())}};
  } catch (const LostData& error) {
    return {{"reason", error.what()}};
  }
}

}  // namespace ampersand
