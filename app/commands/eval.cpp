// ampersand eval: loss and accuracy of a trained model.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/stored_run.h"
#include "app/tasks/evaluation.h"

namespace ampersand {
namespace {

int run_eval(const StoredRunOptions& options, bool as_json) {
  auto run = open_stored_run(options);
  const auto result = evaluate(*run.model, run.batches(), run.recipe());
  if (as_json) {
    const nlohmann::json object = {{"checkpoint", run.checkpoint.path().string()},
                                   {"step", run.checkpoint.step()},
                                   {"precision", dtype_name(run.recipe().compute_dtype)},
                                   {"ema", options.ema},
                                   {"test_samples", run.data.test.count},
                                   {"test_loss", result.loss},
                                   {"test_accuracy", result.accuracy}};
    std::printf("%s\n", object.dump(1).c_str());
    return kOk;
  }
  std::printf("%s, step %ld, in %s\n", run.checkpoint.path().c_str(),
              static_cast<long>(run.checkpoint.step()), dtype_name(run.recipe().compute_dtype));
  std::printf("loss %.6f  accuracy %.2f %% of %u images\n", result.loss, 100 * result.accuracy,
              run.data.test.count);
  return kOk;
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("eval", "Loss and accuracy of a trained model");
  const auto options = std::make_shared<StoredRunOptions>();
  const auto as_json = std::make_shared<bool>(false);
  add_stored_run_options(*command, *options);
  command->add_flag("--json", *as_json, "Print a JSON object");
  command->callback([=, &action] { action = [=] { return run_eval(*options, *as_json); }; });
}

}  // namespace ampersand
