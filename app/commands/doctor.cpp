// ampersand doctor: trains until a step goes wrong, and says which op or parameter it was, and why.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>

#include "amp/doctor.h"
#include "amp/error.h"
#include "amp/version.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/output_folder.h"
#include "app/commands/patient.h"
#include "app/commands/session.h"
#include "app/commands/training_options.h"
#include "app/files/write_file.h"
#include "app/inspection/determinism.h"
#include "app/inspection/reference.h"
#include "app/inspection/treatment.h"
#include "app/inspection/watch.h"
#include "app/models/model_error.h"
#include "app/report/format.h"
#include "app/report/inspection_page.h"
#include "app/results/step_event.h"
#include "app/task_choice/task_choice.h"
#include "app/terminal/formatted.h"
#include "app/terminal/interrupt.h"
#include "app/terminal/progress.h"
#include "app/terminal/wrapped.h"
#include "src/files/folder_lock.h"

namespace ampersand {
namespace {

using nlohmann::json;

struct Watching {
  Ending ending = Ending::finished;
  std::optional<amp::Thrown> thrown;  // by the model
  std::exception_ptr failure;         // what else was
};

Watching watch_training(Patient& patient, Watch& watch) {
  Watching examination;
  auto& plan = patient.plan;
  plan.observer = &watch;
  plan.evaluates = false;
  const auto begin = plan.resume.has_value() ? plan.resume->step() : 0;
  Progress progress("doctor: " + plan.precision.name, patient.steps);
  try {
    examination.ending = train(plan, patient.settings, *patient.task, [&](const json& event) {
      if (const auto step = step_event(event)) progress.show(step->step - begin, "");
    });
  } catch (const ModelError& error) {
    examination.thrown = error.thrown();
  } catch (...) {
    examination.failure = std::current_exception();
  }
  return examination;
}

// The same training in fp32; nothing for one that is in fp32 itself.
std::optional<amp::ReferenceRun> reference_of(const Patient& patient) {
  const auto& recipe = patient.plan.precision.recipe;
  if (recipe.compute_dtype == c10::kFloat && recipe.model_dtype == c10::kFloat &&
      !recipe.emulate.has_value())
    return std::nullopt;
  Progress progress("doctor: fp32, to compare with", patient.steps);
  return reference_run(patient.plan, patient.settings, *patient.task, patient.steps,
                       [&](std::int64_t step) { progress.show(step, ""); });
}

std::vector<std::string> notes_on(const Patient& patient, const Watch& watch,
                                  std::optional<bool> deterministic) {
  auto notes = patient.notes;
  if (const auto& examination = watch.examination(); examination.has_value())
    notes.insert(notes.end(), examination->notes.begin(), examination->notes.end());
  if (!watch.examination_failure().empty())
    notes.push_back("no experiments: " + watch.examination_failure());
  if (deterministic == false)
    notes.push_back(
        "two runs of this training give different losses: it is not deterministic, and another run "
        "may go wrong elsewhere, or not at all");
  const auto idle = idle_rules(patient.plan.precision.recipe, watch);
  if (!idle.empty())
    notes.push_back("the policy has rules for ops that this model did not run: " +
                    comma_separated(idle) + "; is it for another model?");
  return notes;
}

std::string watched(const Patient& patient, const Watch& watch) {
  const auto& steps = watch.evidence().steps;
  const auto& s = patient.settings;
  std::string text = s.model + " on " + s.data + " in " + patient.plan.precision.name + ", " +
                     s.optimizer + ", batch size " + std::to_string(s.batch_size) + ", seed " +
                     std::to_string(patient.plan.seed);
  if (!steps.empty())
    text += "; steps " + std::to_string(steps.front().step) + " to " +
            std::to_string(steps.back().step) + " watched";
  return text;
}

// The last loss is no number, which a cross in the chart says.
bool ends_broken(const Watch& watch) {
  const auto& steps = watch.evidence().steps;
  return !steps.empty() && (!steps.back().loss.has_value() || !std::isfinite(*steps.back().loss));
}

const char* title_of(amp::Verdict verdict) {
  switch (verdict) {
    case amp::Verdict::clean:
      return "nothing is wrong";
    case amp::Verdict::forward_overflow:
      return "a number too large for its format";
    case amp::Verdict::scale_overflow:
      return "the loss scale is too large";
    case amp::Verdict::underflow:
      return "gradients are flushed to zero";
    case amp::Verdict::model_nan:
      return "Inf or NaN that no format avoids";
    case amp::Verdict::bad_data:
      return "the data";
    case amp::Verdict::divergence:
      return "the training diverges";
    case amp::Verdict::throws:
      return "the model throws";
    case amp::Verdict::precision_loss:
      return "digits are lost to rounding";
    case amp::Verdict::flushed_constant:
      return "a constant that is zero in this format";
    case amp::Verdict::vanishing:
      return "gradients vanish on their way";
    case amp::Verdict::not_learning:
      return "nothing is learned";
    case amp::Verdict::eval_only:
      return "evaluation goes wrong, and training does not";
  }
  return "";
}

void write_results(const std::filesystem::path& folder, const Patient& patient, const Watch& watch,
                   std::optional<bool> deterministic, const std::string& run) {
  const auto examination = watch.examination().value_or(amp::Examination());
  write_treatment(folder, examination);
  auto settings = patient.settings;
  if (!run.empty()) {
    settings.given.clear();
    settings.seed = static_cast<std::int64_t>(patient.plan.seed);
  }
  const auto command = command_for(examination, settings, folder, patient.plan.precision.name);
  const auto diagnosis = watch.diagnosis();
  auto inspection = inspection_json(watch);
  mark_cause(inspection, diagnosis);
  const auto notes = notes_on(patient, watch, deterministic);
  const bool clean = diagnosis.verdict == amp::Verdict::clean;
  json object = json::parse(amp::to_json(diagnosis));
  object.update({{"precision", patient.plan.precision.name},
                 {"deterministic", deterministic.has_value() ? json(*deterministic) : json()},
                 {"notes", notes},
                 {"version", amp::version()},
                 {"command", the_command_line()},
                 {"created", timestamp()},
                 {"settings", settings_json(patient.settings)},
                 {"evidence", inspection}});
  object.update(treatment_json(examination, command));
  write_file(folder / "doctor.json",
             object.dump(1, ' ', false, json::error_handler_t::replace) + "\n");

  InspectionPage page;
  page.title = std::string("Doctor: ") + title_of(diagnosis.verdict);
  page.description = watched(patient, watch) + ".";
  page.tone = clean ? InspectionPage::Tone::fine : InspectionPage::Tone::wrong;
  page.verdict = {diagnosis.sentence};
  for (const auto& note : notes) page.verdict.push_back(note);
  if (!examination.trials.empty())
    page.sections.emplace_back(
        "Experiments",
        table_html({"Played again", "What came of it", "Goes well"}, experiment_rows(examination)));
  if (!examination.remedies.empty())
    page.sections.emplace_back(
        "Remedies", table_html({"Remedy", "Trained with it", "Cures"}, remedy_rows(examination)) +
                        (command.empty() ? ""
                                         : "<p class=\"note\"><code>" +
                                               report::escape_html(command) + "</code></p>\n"));
  page.tail = {{"Ops that lose most", ops_table(inspection)}};
  page.results = {{"version", amp::version()},
                  {"created", object.at("created")},
                  {"runs",
                   {watched_run_json(patient.plan.precision, patient.plan.seed, inspection,
                                     ends_broken(watch))}}};
  page.inspection = inspection;
  if (!clean) page.inspection["verdict_pass"] = object.at("pass");
  if (!clean && diagnosis.step > 0) page.inspection["from_step"] = diagnosis.step;
  write_file(folder / "doctor.html", render_inspection(page));

  const auto say = [width = output_width()](const std::string& label, const std::string& text) {
    std::printf("%s\n", wrapped(label + text, width, label.size()).c_str());
  };
  say("", diagnosis.sentence + "\n");
  say("verdict  ", amp::verdict_name(diagnosis.verdict));
  if (!diagnosis.remedy.empty()) say("remedy   ", diagnosis.remedy);
  for (const auto& trial : examination.trials) say("tried    ", trial.what + ": " + trial.outcome);
  for (const auto& note : notes) say("note     ", note);
  if (!command.empty()) std::printf("command  %s\n", command.c_str());  // whole, to be copied
  std::printf("results  %s\npage     %s\n", (folder / "doctor.json").c_str(),
              (folder / "doctor.html").c_str());
}

int run_doctor(const DoctorOptions& options) {
  if (options.every < 1)
    throw amp::InvalidArgument("--every must be >= 1, got " + std::to_string(options.every));
  auto patient = patient_of(options);
  const auto folder = output_folder("doctor", options.settings, {"doctor.json"});
  const amp::files::FolderLock lock(folder);
  const auto deterministic = is_deterministic(patient.plan, patient.settings, *patient.task);
  WatchOptions watching = {.steps = patient.steps, .every = options.every, .examines = true};
  if (!options.no_reference) watching.reference = reference_of(patient);
  Watch watch(patient.plan.precision.recipe, watching);
  const auto examination = watch_training(patient, watch);
  if (interrupted() && watch.evidence().steps.empty()) {
    std::fprintf(stderr, "ampersand: interrupted before the first step was watched\n");
    return kInterrupted;
  }
  if (examination.thrown.has_value()) watch.add_failure(*examination.thrown);
  // What threw without leaving a trace in the numbers is no matter of numbers.
  if (examination.failure && watch.diagnosis().verdict == amp::Verdict::clean)
    std::rethrow_exception(examination.failure);
  write_results(folder, patient, watch, deterministic, options.run);
  return interrupted() ? kInterrupted : kOk;
}

}  // namespace

void add_doctor(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand(
      "doctor", "Train until a step goes wrong, and say which op it was, and why");
  const auto options = std::make_shared<DoctorOptions>();
  auto& settings = options->settings;
  command->add_option("run", options->run,
                      "Go on with the run in this folder, from its newest checkpoint");
  command
      ->add_option("--precision", options->precision,
                   "fp32, bf16, fp16, fp16-unscaled, fp16-scale-N, or Apex's O0 to O3")
      ->capture_default_str();
  command->add_option("--recipe", settings.recipe, "A recipe file instead of a precision");
  command->add_option("--seed", settings.seed, "Seed of weights and order")->capture_default_str();
  command
      ->add_option("--every", options->every,
                   "Look into every N-th micro-batch only; of the others, at what was skipped")
      ->capture_default_str();
  command->add_flag(
      "--no-reference", options->no_reference,
      "Do not train in fp32 beside it, which finds what is finite and worse than fp32");
  add_training_options(*command, settings);
  command->get_option("--steps")->description("Watch at most N micro-batches; 0: 200");
  command->callback([=, &action] {
    note_given_options(*command, options->settings);
    action = [=] { return run_doctor(*options); };
  });
}

}  // namespace ampersand
