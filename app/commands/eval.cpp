// ampersand eval: loss and measures of a trained model.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/stored_run.h"
#include "app/files/utf8.h"
#include "app/models/model_evaluator.h"
#include "app/results/measures.h"
#include "app/task_choice/task_json.h"
#include "app/terminal/formatted.h"

namespace ampersand {
namespace {

// "accuracy 91.20 %", or "perplexity 4.3117  bits per byte 2.1083".
std::string in_words(const amp::Evaluation& result, const std::vector<amp::Measure>& measures) {
  std::string words;
  for (const auto& measure : measures) {
    const auto found = result.measures.find(measure.key);
    if (found == result.measures.end()) continue;
    words += (words.empty() ? "" : "  ") + measure.name + " " +
             (is_relative(measure) ? formatted("%.4f", found->second)
                                   : value_in_words(measure, found->second));
  }
  return words;
}

int run_eval(const StoredRunOptions& options, bool as_json) {
  auto run = open_stored_run(options);
  const auto batches = run.task->test_batches(run.recipe().compute_dtype);
  ModelEvaluator evaluator(*run.model, run.recipe());
  const auto result = run.task->evaluate(evaluator, *batches);
  if (as_json) {
    nlohmann::json object = {{"checkpoint", escaped_name(run.checkpoint.path().string())},
                             {"step", run.checkpoint.step()},
                             {"precision", dtype_name(run.recipe().compute_dtype)},
                             {"ema", options.ema},
                             {"test_samples", run.task->test_samples()}};
    object.update(evaluation_json(result));
    std::printf("%s\n", object.dump(1).c_str());
    return kOk;
  }
  std::printf("%s, step %ld, in %s\n", run.checkpoint.path().c_str(),
              static_cast<long>(run.checkpoint.step()), dtype_name(run.recipe().compute_dtype));
  std::printf("loss %.6f  %s of %ld %s\n", result.loss,
              in_words(result, run.task->measures()).c_str(),
              static_cast<long>(run.task->test_samples()), run.task->noun().c_str());
  return kOk;
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  auto* command =
      app.add_subcommand("eval", "Loss and measures, such as the accuracy, of a trained model");
  const auto options = std::make_shared<StoredRunOptions>();
  const auto as_json = std::make_shared<bool>(false);
  add_stored_run_options(*command, *options);
  command->add_flag("--json", *as_json, "Print a JSON object");
  command->callback([=, &action] { action = [=] { return run_eval(*options, *as_json); }; });
}

}  // namespace ampersand
