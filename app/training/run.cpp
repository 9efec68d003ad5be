// Making what a training needs.
#include "app/training/run.h"

#include <ATen/Context.h>

#include <utility>

#include "app/models/initial_weights.h"
#include "app/models/weight_values.h"
#include "app/training/optimizers.h"
#include "app/training/perturbation.h"
#include "app/training/run_state.h"

namespace ampersand {
namespace {

std::int64_t bytes_in(const amp::NamedTensors& tensors) {
  std::int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += static_cast<std::int64_t>(tensor.nbytes());
  return bytes;
}

}  // namespace

Run::Run(const RunPlan& given_plan, const Settings& given_settings, const amp::Task& given_task,
         const EventSink& given_sink)
    : plan(given_plan),
      settings(given_settings),
      task(given_task),
      sink(given_sink),
      device(settings.device),
      recipe(plan.precision.recipe),
      batches(task.training_batches(settings.batch_size, recipe.compute_dtype)),
      test_batches(task.test_batches(recipe.compute_dtype)),
      loader(*batches, settings.loader_threads),
      planned(planned_steps(settings, task.training_samples())),
      pace(recipe.accumulation) {
  memory.set_data_aside();
  make_model();
  optimizer = make_optimizer(settings, model->parameters());
  train_step = model->train_step(*optimizer, recipe);
  if (settings.ema > 0) ema.emplace(*train_step, settings.ema);
  if (plan.resume.has_value()) resume(*plan.resume);
  if (plan.observer != nullptr) plan.observer->begin_training(*model, *train_step);
  memory.know(*model, *train_step, ema.has_value() ? bytes_in(ema->average()) : 0);
}

void Run::make_model() {
  at::manual_seed(plan.seed);
  model = ampersand::make_model(settings.model, task);
  if (!plan.resume.has_value()) {
    if (!settings.init.empty()) load_initial_weights(*model, settings.init);
    check_range(*model, recipe.model_dtype);
  }
  if (plan.perturbation.has_value()) perturb(*model, *plan.perturbation);
  model->to(device);
}

void Run::resume(const amp::Checkpoint& from) {
  from.restore(*train_step);
  if (ema.has_value()) ema->load(from.tensors("ema"));
  step = first = done = from.step();
  updates = run_state_of(from).updates;
}

void Run::send(nlohmann::json event) const {
  event["run"] = plan.run;
  sink(event);
}

}  // namespace ampersand
