// A trained model out of a checkpoint.
#include "app/commands/stored_run.h"

#include <CLI/CLI.hpp>

#include "amp/error.h"
#include "app/commands/machine_choice.h"
#include "app/task_choice/data_changes.h"
#include "app/task_choice/task_choice.h"
#include "app/training/named_precision.h"

namespace ampersand {

void add_stored_run_options(CLI::App& command, StoredRunOptions& o) {
  command.add_option("run", o.where, "A folder that `ampersand train` wrote, or one checkpoint")
      ->required();
  command.add_option("--data", o.data, "Other data than it was trained on (the test part)");
  command.add_flag("--changed-data", o.changed_data,
                   "Take the run's data though they have changed since");
  command.add_option("--test-samples", o.test_samples, "Use the first N test samples; 0: all")
      ->capture_default_str();
  command.add_option("--precision", o.precision,
                     "fp32, bf16 or fp16: compute under autocast (default: as it was trained)");
  command.add_flag("--ema", o.ema, "Take the moving average of the weights");
  command.add_option("--device", o.device, "cpu or cuda")->capture_default_str();
  command.add_option("--threads", o.threads, "CPU threads; 0: as many as processors may be used")
      ->capture_default_str();
}

StoredRun open_stored_run(const StoredRunOptions& options) {
  check_device(options.device);
  set_threads(options.threads);
  auto checkpoint = find_checkpoint(options.where);
  auto state = run_state_of(checkpoint);
  if (!options.precision.empty())
    state.precision.recipe.compute_dtype = parse_dtype("--precision", options.precision);
  auto settings = state.settings;
  if (!options.data.empty()) {
    settings.data = options.data;
    settings.test_samples = 0;
  }
  if (options.test_samples > 0) settings.test_samples = options.test_samples;
  settings.train_samples = 0;
  auto task = stored_task(settings, state.task);
  if (options.data.empty() && options.uses_data)
    check_unchanged(*task, state.task,
                    {.compared = Compared::test,
                     .data = settings.data,
                     .remedy = "bring back what it was, name other data with --data, or go on with "
                               "--changed-data",
                     .accept = options.changed_data});
  take_over_cpu_math(state);
  auto model = make_model(settings.model, *task);
  model->load(stored_weights(checkpoint, options.ema));
  model->to(c10::Device(options.device));
  model->train(false);
  return {std::move(checkpoint), std::move(state), std::move(task), std::move(model)};
}

}  // namespace ampersand
