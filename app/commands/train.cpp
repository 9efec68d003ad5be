// ampersand train: one model, one precision.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "amp/error.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/session.h"
#include "app/commands/training_options.h"
#include "app/training/precision.h"

namespace ampersand {
namespace {

// run: the only one of the results.
[[noreturn]] void throw_non_finite(const nlohmann::json& run) {
  const auto reason = run.at("stopped").is_string()
                          ? run.at("stopped").get<std::string>()
                          : "the loss is inf or nan; lower --lr, or clip with --max-grad-norm";
  throw amp::NumericalError("training in " + run.at("precision").get<std::string>() +
                            " went non-finite at step " + run.at("diverged_at_step").dump() + ": " +
                            reason);
}

int run_train(const Settings& settings, const std::string& precision_name) {
  auto precision = parse_precision(precision_name);
  if (!settings.loss_scale.empty()) set_loss_scale(precision, settings.loss_scale);
  const auto data = prepare(settings);
  const auto seed = static_cast<std::uint64_t>(settings.seed);
  Session session("train", settings, data, {seed});
  const auto ending = session.run({0, precision, seed});
  const auto results = session.finish(ending == Ending::interrupted);
  if (ending == Ending::diverged || ending == Ending::stopped)
    throw_non_finite(results.at("runs").at(0));
  return ending == Ending::interrupted ? kInterrupted : kOk;
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
