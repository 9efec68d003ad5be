// The training that `ampersand doctor` examines: a new one, or a run that goes on.
#include "app/commands/patient.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "amp/checkpoint.h"
#include "amp/error.h"
#include "app/commands/resumption.h"
#include "app/commands/session.h"
#include "app/commands/training_plan.h"
#include "app/results/metrics_file.h"
#include "app/task_choice/task_choice.h"

namespace ampersand {
namespace {

using nlohmann::json;

// Whether there is a run that no checkpoint was written of: it went wrong before, say.
bool has_no_checkpoint(const std::filesystem::path& run) {
  std::error_code error;
  return std::filesystem::exists(run / "metrics.jsonl", error) &&
         !std::filesystem::exists(run / "manifest.json", error) &&
         !amp::Checkpoint::newest(run / "checkpoints").has_value();
}

// The run's training from its first step on, as its events tell it.
Patient retrained_patient(const DoctorOptions& options) {
  const auto events = read_metrics(std::filesystem::path(options.run) / "metrics.jsonl");
  const auto is = [](const char* name) {
    return [name](const json& event) { return event.value("event", "") == name; };
  };
  const auto start = std::ranges::find_if(events, is("start"));
  const auto run = std::ranges::find_if(events, is("run"));
  if (start == events.end() || run == events.end())
    throw amp::IoError(options.run, "has neither a checkpoint nor the settings of its training");
  Patient patient;
  auto earlier = start->at("settings");
  earlier.erase("loss_scale");  // the recipe has it
  auto& settings = patient.settings = resumed_settings(earlier, options.settings);
  patient.plan.precision = {run->at("precision").get<std::string>(),
                            amp::Recipe::from_json(run->at("recipe").dump())};
  patient.plan.seed = run->value("seed", std::uint64_t{0});
  patient.task = prepare(settings, {}, /*examines=*/true);
  patient.notes.push_back(
      "the run has no checkpoint: its training was examined from its first step");
  return patient;
}

// Of a training that goes on, --steps are those to watch, and its own length stays, which its learning
// rate depends on.
Patient known_patient(const DoctorOptions& options) {
  for (const char* option : {"--precision", "--recipe", "--policy", "--init", "--epochs"}) {
    if (options.settings.is_given(option))
      throw amp::InvalidArgument(std::string(option) +
                                 " cannot be combined with a run's folder, whose precision, policy "
                                 "and length stay; leave it out");
  }
  if (has_no_checkpoint(options.run)) return retrained_patient(options);
  Patient patient;
  auto given = options.settings;
  if (given.is_given("--steps")) patient.steps = given.steps;
  given.given.erase("--steps");
  auto [plan, settings, task] = resume_run(options.run, given, /*examines=*/true);
  const auto end = plan.resume->step() + patient.steps;
  if (planned_steps(settings, task->training_samples()) <= plan.resume->step())
    settings.steps = end;  // the run was over
  patient.plan = std::move(plan);
  patient.settings = std::move(settings);
  patient.task = std::move(task);
  return patient;
}

Patient new_patient(const DoctorOptions& options) {
  Patient patient;
  auto& settings = patient.settings = options.settings;
  complete_settings(settings);
  patient.plan.precision = chosen_precision(options.precision, settings);
  patient.plan.seed = static_cast<std::uint64_t>(settings.seed);
  patient.task = prepare(settings, {}, /*examines=*/true);
  if (settings.is_given("--steps") && settings.steps > 0) {
    patient.steps = settings.steps;
  } else if (!settings.is_given("--epochs") &&
             planned_steps(settings, patient.task->training_samples()) < kDoctorSteps) {
    settings.steps = kDoctorSteps;
  }
  return patient;
}

}  // namespace

Patient patient_of(const DoctorOptions& options) {
  return options.run.empty() ? new_patient(options) : known_patient(options);
}

}  // namespace ampersand
