// ampersand train: one model, one precision.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "amp/error.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/resumption.h"
#include "app/commands/session.h"
#include "app/commands/training_options.h"
#include "app/commands/training_plan.h"
#include "app/models/model_error.h"
#include "app/task_choice/task_choice.h"
#include "app/training/named_precision.h"

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

int run_to_the_end(Session& session, RunPlan& plan, const amp::Task& task) {
  plan.checkpoints = session.folder() / "checkpoints";
  plan.showpieces = true;
  task.save_beside(session.folder());
  write_recipe(session.folder() / "recipe.json", plan.precision.recipe);
  Ending ending{};
  try {
    ending = session.run(plan);
  } catch (const ModelError& error) {
    const auto run = session.finish(false).at("runs").at(0);
    throw error.in_context("training in " + run.at("precision").get<std::string>() +
                           " failed at step " + run.at("failed_at_step").dump() + ": ");
  }
  const auto results = session.finish(ending == Ending::interrupted);
  if (ending == Ending::diverged || ending == Ending::stopped)
    throw_non_finite(results.at("runs").at(0));
  return ending == Ending::interrupted ? kInterrupted : kOk;
}

int begin(Settings settings, const std::string& precision_name) {
  if (settings.changed_data)
    throw amp::InvalidArgument("--changed-data is for a run that goes on; give --resume, too");
  complete_settings(settings);
  RunPlan plan;
  plan.precision = chosen_precision(precision_name, settings);
  plan.seed = static_cast<std::uint64_t>(settings.seed);
  const auto task = prepare(settings);
  Session session("train", settings, *task, {plan.seed});
  return run_to_the_end(session, plan, *task);
}

void check_resumable(const Settings& settings) {
  for (const char* option :
       {"--output", "--overwrite", "--precision", "--recipe", "--policy", "--init"}) {
    if (settings.is_given(option))
      throw amp::InvalidArgument(std::string(option) +
                                 " cannot be combined with --resume, which goes on in the folder, "
                                 "the precision and the policy of the run; leave it out");
  }
}

int resume(const Settings& given) {
  check_resumable(given);
  auto [plan, settings, task] = resume_run(given.resume, given);
  const auto planned = planned_steps(settings, task->training_samples());
  // A run that was killed after its last checkpoint still has its results to write.
  std::error_code error;
  const bool complete = std::filesystem::exists(given.resume / "results.json", error);
  if (complete && plan.resume->step() >= planned) {
    throw amp::InvalidArgument("--resume " + given.resume.string() + ": the run is at step " +
                               std::to_string(plan.resume->step()) + " of " +
                               std::to_string(planned) +
                               " already; ask for more with --epochs or --steps");
  }
  Session session(settings, *task, plan.resume->step());
  return run_to_the_end(session, plan, *task);
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("train", "Train a model in one precision");
  const auto settings = std::make_shared<Settings>();
  const auto precision = std::make_shared<std::string>("fp32");
  command
      ->add_option(
          "--precision", *precision,
          "fp32, bf16, fp16, fp16-unscaled, fp16-scale-N, FORMAT-emulated (tf32, bf16, fp16, "
          "e4m3, e5m2, fp8), or Apex's O0 to O3")
      ->capture_default_str();
  command->add_option("--recipe", settings->recipe,
                      "A recipe file instead of a precision (recipe.json of a run is one)");
  command->add_flag("--explain", settings->explain,
                    "List at the end which rule each op met, and what was cast for it");
  command->add_option("--seed", settings->seed, "Seed of weights and order")->capture_default_str();
  add_training_options(*command, *settings);
  command
      ->add_option("--checkpoint-every", settings->checkpoint_every,
                   "Write a checkpoint every N micro-batches; 0: at the end and on Ctrl-C")
      ->capture_default_str();
  command->add_option("--resume", settings->resume,
                      "Go on with the run in this folder, from its newest whole checkpoint");
  command->add_flag("--changed-data", settings->changed_data,
                    "Go on though the data have changed since");
  command->callback([=, &action] {
    note_given_options(*command, *settings);
    action = [=] {
      return settings->resume.empty() ? begin(*settings, *precision) : resume(*settings);
    };
  });
}

}  // namespace ampersand
