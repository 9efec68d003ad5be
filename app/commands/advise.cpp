// ampersand advise: which precision suits a model and its data, from a short training, with evidence.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "amp/error.h"
#include "amp/version.h"
#include "app/commands/advice.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/output_folder.h"
#include "app/commands/session.h"
#include "app/commands/training_options.h"
#include "app/commands/training_plan.h"
#include "app/files/write_file.h"
#include "app/inspection/determinism.h"
#include "app/inspection/reference.h"
#include "app/inspection/watch.h"
#include "app/models/model_error.h"
#include "app/results/machine.h"
#include "app/results/results.h"
#include "app/results/step_event.h"
#include "app/task_choice/task_choice.h"
#include "app/task_choice/task_json.h"
#include "app/terminal/interrupt.h"
#include "app/terminal/progress.h"
#include "src/files/folder_lock.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr std::int64_t kSteps = 200;    // of each trial
constexpr std::int64_t kProbe = 50;     // of the fp32 training that is looked into
constexpr std::int64_t kLooks = 10;     // how often
constexpr std::int64_t kExamined = 40;  // of the fp16 training that is examined

// The losses of micro-batches out of a training's events, which go on to the results. What the model throws
// is a trial that failed, but in the yardstick, which all others need.
Trial run_trial(const RunPlan& plan, const Candidate& candidate, bool is_yardstick,
                const Settings& settings, const amp::Task& task, ResultsBuilder& results) {
  Trial trial;
  trial.candidate = candidate;
  Progress progress("advise: " + candidate.precision.name,
                    planned_steps(settings, task.training_samples()));
  const auto note = [&](const json& event) {
    results.add(event);
    if (event.at("event") == "end") trial.reason = event.value("reason", "");
    const auto step = step_event(event);
    if (!step || step->is_flush) return;
    trial.losses.push_back(step->loss_or_nan());
    progress.show(step->step, "");
  };
  try {
    trial.ending = train(plan, settings, task, note);
  } catch (const ModelError&) {  // the event of its end says why
    if (is_yardstick) throw;
    trial.ending = Ending::failed;
  }
  return trial;
}

class Advising {
 public:
  explicit Advising(const Settings& given) : settings_(given) {
    complete_settings(settings_);
    if (settings_.is_given("--policy")) throw_no_policy();
    if (!settings_.is_given("--steps") || settings_.steps == 0) settings_.steps = kSteps;
    plan_.precision = parse_precision("fp32");
    plan_.seed = static_cast<std::uint64_t>(settings_.seed);
    task_ = prepare(settings_);
    folder_ = output_folder("advise", given, {"advise.json"});
    lock_ = std::make_unique<amp::files::FolderLock>(folder_);
  }

  int run() {
    const auto probed = std::min(kProbe, settings_.steps);
    auto plan = with({parse_precision("fp32")});
    Watch watch(plan.precision.recipe,
                {.steps = probed, .every = std::max<std::int64_t>(1, probed / kLooks)});
    plan.observer = &watch;
    plan.evaluates = false;
    if (probe(plan) == Ending::interrupted) return kInterrupted;
    check_healthy(watch);
    Advice advice;
    advice.deterministic = is_deterministic(plan_, settings_, *task_);
    const auto policy = amp::OpPolicy::fast(c10::Device(settings_.device).type());
    advice.ranges = find_ranges(watch.ops(), watch.parameters(), policy);
    advice.inspection = inspection_json(watch);
    results_.add({{"event", "start"},
                  {"version", amp::version()},
                  {"command", the_command_line()},
                  {"kind", "advise"},
                  {"created", timestamp()},
                  {"machine", machine_json()},
                  {"settings", described()}});
    if (!try_all(advice, watch, policy)) return kInterrupted;
    results_.add({{"event", "finish"}, {"interrupted", false}, {"machine", machine_json()}});
    advice.results = results_.results();
    choose(advice);
    write_advice(folder_, settings_, advice);
    return kOk;
  }

 private:
  [[noreturn]] static void throw_no_policy() {
    throw amp::InvalidArgument(
        "--policy cannot be combined with advise, which finds one; leave it out");
  }

  RunPlan with(const Candidate& candidate) const {
    RunPlan plan;
    plan.run = run_;
    plan.seed = plan_.seed;
    plan.precision = candidate.precision;
    auto& recipe = plan.precision.recipe;
    recipe.accumulation = settings_.accumulation;
    recipe.max_grad_norm = settings_.max_grad_norm;
    recipe.scaler.max_consecutive_skips = settings_.max_consecutive_skips;
    return plan;
  }

  json described() const {
    auto object = settings_json(settings_);
    object.update(task_description(*task_));
    object["seeds"] = {plan_.seed};
    return object;
  }

  Ending probe(const RunPlan& plan) const {
    try {
      return train(plan, settings_, *task_, [](const json&) {});
    } catch (const ModelError& error) {
      throw error.in_context("training goes wrong in fp32 already: ");
    }
  }

  static void check_healthy(const Watch& watch) {
    const auto diagnosis = watch.diagnosis();
    if (diagnosis.verdict == amp::Verdict::clean) return;
    throw amp::NumericalError("training goes wrong in fp32 already: " + diagnosis.sentence +
                              " (`ampersand doctor` shows more)");
  }

  // What the ranges rule out may do with some ops or modules in fp32: a short training in fp16 is examined,
  // and the remedy that cured it, if there is one of fp16, is the candidate. False if it was interrupted.
  bool examine_fp16(std::vector<Candidate>& list) {
    Candidate half = {parse_precision("fp16")};
    auto plan = with(half);
    Watch watch(plan.precision.recipe,
                {.steps = std::min(kExamined, settings_.steps), .examines = true});
    plan.observer = &watch;
    plan.evaluates = false;
    try {
      if (train(plan, settings_, *task_, [](const json&) {}) == Ending::interrupted) return false;
    } catch (const ModelError&) {  // is examined, too
    }
    if (!watch.examination().has_value()) return true;
    for (const auto& remedy : watch.examination()->remedies) {
      if (!remedy.cures || !remedy.recipe.has_value() || !remedy.recipe->policy.has_value() ||
          remedy.recipe->compute_dtype != c10::kHalf)
        continue;
      half.precision.recipe = *remedy.recipe;
      half.keep_fp32 = kept_in_fp32(*remedy.recipe->policy);
      list.push_back(std::move(half));
      break;
    }
    return true;
  }

  // fp32 once more, from weights moved by a little: what its losses differ by is chance.
  bool run_again(Advice& advice) {
    Progress progress("advise: fp32, for its noise", settings_.steps);
    advice.fp32_again =
        moved_losses(with({parse_precision("fp32")}), settings_, *task_, settings_.steps,
                     [&](std::int64_t step) { progress.show(step, ""); });
    return !interrupted();
  }

  // False if it was interrupted.
  bool try_all(Advice& advice, const Watch& watch, const amp::OpPolicy& policy) {
    std::vector<Candidate> list = {{parse_precision("fp32")}};
    for (auto& candidate : candidates(advice.ranges, policy)) list.push_back(std::move(candidate));
    const auto is_fp16 = [](const Candidate& one) { return one.precision.name == "fp16"; };
    if (std::ranges::none_of(list, is_fp16) && !examine_fp16(list)) return false;
    if (c10::Device(settings_.device).is_cpu()) list.push_back(emulated_fp8());
    for (std::size_t i = 0; i < list.size(); ++i) {
      auto trial = run_trial(with(list[i]), list[i], i == 0, settings_, *task_, results_);
      if (trial.ending == Ending::interrupted) return false;
      if (i == 0 && trial.ending != Ending::finished)
        throw amp::NumericalError("training goes wrong in fp32 already, after " +
                                  std::to_string(trial.losses.size()) +
                                  " steps; `ampersand doctor` says why");
      trial.candidate.precision.recipe = with(list[i]).precision.recipe;
      ++run_;
      advice.trials.push_back(std::move(trial));
      if (i == 0 && !run_again(advice)) return false;
      // bf16 that learns less than fp32 may do with exact sums.
      if (list[i].precision.name != "bf16") continue;
      if (compared(advice.trials.back(), advice.trials.front(), advice.fp32_again).accepted)
        continue;
      auto careful = careful_bf16(reductions_of(watch.ops(), policy), policy);
      if (!careful.keep_fp32.empty())
        list.insert(list.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::move(careful));
    }
    return true;
  }

  // The first of bf16, bf16 with exact sums, and fp16 that learns as fp32 does, or else fp32.
  static void choose(Advice& advice) {
    std::vector<std::size_t> good;
    for (std::size_t i = 0; i < advice.trials.size(); ++i) {
      advice.comparisons.push_back(
          compared(advice.trials[i], advice.trials.front(), advice.fp32_again));
      const bool may_be = i > 0 && !advice.trials[i].candidate.is_emulated();
      if (may_be && advice.comparisons[i].accepted) good.push_back(i);
    }
    good.push_back(0);
    advice.recommended = good[0];
    advice.runner_up = good.size() > 1 ? std::optional(good[1]) : std::nullopt;
  }

  Settings settings_;
  RunPlan plan_;
  std::unique_ptr<amp::Task> task_;
  std::filesystem::path folder_;
  std::unique_ptr<amp::files::FolderLock> lock_;
  ResultsBuilder results_;
  std::int64_t run_ = 0;
};

}  // namespace

void add_advise(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand(
      "advise", "Say which precision suits a model and its data, after trying them");
  const auto settings = std::make_shared<Settings>();
  command->add_option("--seed", settings->seed, "Seed of weights and order")->capture_default_str();
  add_training_options(*command, *settings);
  command->get_option("--steps")->description("Micro-batches of each trial; 0: 200");
  command->callback([=, &action] {
    note_given_options(*command, *settings);
    action = [=] { return Advising(*settings).run(); };
  });
}

}  // namespace ampersand
