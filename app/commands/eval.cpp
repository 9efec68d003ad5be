// ampersand eval: loss, and accuracy or perplexity, of a trained model.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/stored_run.h"
#include "app/data/utf8.h"
#include "app/tasks/evaluation.h"

namespace ampersand {
namespace {

// "accuracy 91.20 %", or "perplexity 4.31  bits per byte 2.108".
std::string in_words(const Evaluation& result) {
  char text[128] = "";
  if (result.accuracy.has_value())
    std::snprintf(text, sizeof text, "accuracy %.2f %%", 100 * *result.accuracy);
  if (result.perplexity.has_value())
    std::snprintf(text, sizeof text, "perplexity %.4f", *result.perplexity);
  std::string words = text;
  if (result.bits_per_byte.has_value()) {
    std::snprintf(text, sizeof text, "  bits per byte %.4f", *result.bits_per_byte);
    words += text;
  }
  return words;
}

int run_eval(const StoredRunOptions& options, bool as_json) {
  auto run = open_stored_run(options);
  const auto batches = run.task->test_batches(run.recipe().compute_dtype);
  const auto result = run.task->evaluate(*run.model, *batches, run.recipe());
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
  std::printf("loss %.6f  %s of %ld %s\n", result.loss, in_words(result).c_str(),
              static_cast<long>(run.task->test_samples()), run.task->noun().c_str());
  return kOk;
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  auto* command =
      app.add_subcommand("eval", "Loss, and accuracy or perplexity, of a trained model");
  const auto options = std::make_shared<StoredRunOptions>();
  const auto as_json = std::make_shared<bool>(false);
  add_stored_run_options(*command, *options);
  command->add_flag("--json", *as_json, "Print a JSON object");
  command->callback([=, &action] { action = [=] { return run_eval(*options, *as_json); }; });
}

}  // namespace ampersand
