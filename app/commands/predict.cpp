// ampersand predict: what a trained model says of each test sample, or how it goes on with a text.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "amp/error.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/stored_run.h"
#include "app/files/utf8.h"
#include "app/files/write_file.h"
#include "app/models/model_evaluator.h"

namespace ampersand {
namespace {

struct PredictOptions {
  StoredRunOptions run;
  std::string output;
  bool overwrite = false;
  bool continues = false;  // --prompt was given
  amp::Continuation continuation;
};

int run_predict(const PredictOptions& options) {
  const auto output = options.output.empty() ? std::filesystem::path("/dev/stdout")
                                             : output_file(options.output, options.overwrite);
  const auto run = open_stored_run(options.run);
  ModelEvaluator evaluator(*run.model, run.recipe());
  const auto text = options.continues
                        ? valid_utf8(run.task->continued(evaluator, options.continuation)) + "\n"
                        : run.task->predictions(evaluator);
  if (options.output.empty()) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return kOk;
  }
  write_file(output, text);
  if (!is_standard_output(output)) std::printf("predictions  %s\n", output.c_str());
  return kOk;
}

void check(const PredictOptions& options, const CLI::App& command) {
  if (options.continues) return;
  for (const char* option : {"--tokens", "--temperature", "--top-k", "--seed"}) {
    if (command.get_option(option)->count() > 0)
      throw amp::InvalidArgument(std::string(option) +
                                 " says how a text is continued; give --prompt, too");
  }
}

}  // namespace

void add_predict(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand(
      "predict", "What a trained model says of each test sample, or how it continues a text");
  const auto o = std::make_shared<PredictOptions>();
  auto& how = o->continuation;
  add_stored_run_options(*command, o->run);
  command->add_option("--output", o->output, "A file; - or none: standard output");
  command->add_flag("--overwrite", o->overwrite, "Replace the file if it is there");
  auto* prompt =
      command->add_option("--prompt", how.prompt,
                          "Continue this text; \"\": begin one (models of text); or translate it");
  command->add_option("--tokens", how.tokens, "How many tokens to add")->capture_default_str();
  command
      ->add_option("--temperature", how.temperature,
                   "Below 1: likelier tokens; above: less likely ones; 0: always the likeliest")
      ->capture_default_str();
  command->add_option("--top-k", how.top_k, "Draw from the K likeliest tokens; 0: from all")
      ->capture_default_str();
  command->add_option("--seed", how.seed, "Seed of the draws")->capture_default_str();
  command->callback([=, &action] {
    o->continues = prompt->count() > 0;
    o->run.uses_data = !o->continues;
    action = [=] {
      check(*o, *command);
      return run_predict(*o);
    };
  });
}

}  // namespace ampersand
