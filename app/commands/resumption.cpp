// Going on with an earlier run.
#include "app/commands/resumption.h"

#include <nlohmann/json.hpp>

#include "app/commands/training_plan.h"
#include "app/files/whereabouts.h"
#include "app/models/model.h"
#include "app/task_choice/data_changes.h"
#include "app/task_choice/task_choice.h"
#include "app/training/run_state.h"

namespace ampersand {

Resumption resume_run(const std::filesystem::path& run, const Settings& given, bool examines) {
  Resumption resumption;
  auto& [plan, settings, task] = resumption;
  plan.resume = find_checkpoint(run);
  auto state = run_state_of(*plan.resume);
  // The same under another name is the same.
  if (given.is_given("--data") && !is_built_in_data(given.data) &&
      (given.changed_data || is_same_data(state.task.value("data_at", nlohmann::json()),
                                          state.settings.data, given.data)))
    state.settings.data = given.data;
  if (given.is_given("--model") && absolute_model(given.model) == state.settings.model)
    state.settings.model = given.model;
  if (given.is_given("--task") && absolute_model(given.task) == state.settings.task)
    state.settings.task = given.task;
  settings = resumed_settings(settings_json(state.settings), given);
  if (!given.is_given("--threads")) settings.threads = state.threads;
  plan.precision = state.precision;
  // What of the recipe may change half way, if it was said.
  plan.precision.recipe.max_grad_norm = settings.max_grad_norm;
  plan.precision.recipe.scaler.max_consecutive_skips = settings.max_consecutive_skips;
  plan.seed = state.seed;
  task = prepare(settings, state.task, examines);
  check_unchanged(*task, state.task,
                  {.data = settings.data,
                   .remedy = "bring back what it was, or go on with --changed-data",
                   .accept = examines || given.changed_data});
  take_over_cpu_math(state);
  return resumption;
}

}  // namespace ampersand
