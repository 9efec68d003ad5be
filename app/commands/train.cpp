// ampersand train: one model, one precision.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/session.h"
#include "app/commands/training_options.h"
#include "app/training/precision.h"

namespace ampersand {
namespace {

int status_of(Ending ending) {
  switch (ending) {
    case Ending::finished:
      return kOk;
    case Ending::interrupted:
      return kInterrupted;
    case Ending::diverged:
    case Ending::stopped:
      return kNonFinite;
  }
  return kInternal;
}

int run_train(const Settings& settings, const std::string& precision_name) {
  auto precision = parse_precision(precision_name);
  if (!settings.loss_scale.empty()) set_loss_scale(precision, settings.loss_scale);
  const auto data = prepare(settings);
  const auto seed = static_cast<std::uint64_t>(settings.seed);
  Session session("train", settings, data, {seed});
  const auto ending = session.run({0, precision, seed});
  session.finish(ending == Ending::interrupted);
  return status_of(ending);
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("train", "Train a model in one precision");
  const auto settings = std::make_shared<Settings>();
  const auto precision = std::make_shared<std::string>("fp32");
  command->add_option("--precision", *precision, "fp32, bf16, fp16, fp16-unscaled or fp16-scale-N")
      ->capture_default_str();
  command->add_option("--seed", settings->seed, "Seed of weights and order")->capture_default_str();
  add_training_options(*command, *settings);
  command->callback([=, &action] { action = [=] { return run_train(*settings, *precision); }; });
}

}  // namespace ampersand
