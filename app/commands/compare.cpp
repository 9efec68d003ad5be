// ampersand compare: one model in several precisions, with the same weights and batches to begin
// with.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <numeric>
#include <optional>

#include "amp/error.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/live_comparison.h"
#include "app/commands/session.h"
#include "app/commands/training_options.h"
#include "app/commands/training_plan.h"
#include "app/models/model_error.h"
#include "app/results/paired.h"
#include "app/task_choice/task_choice.h"
#include "app/training/named_precision.h"
#include "app/training/perturbation.h"

namespace ampersand {
namespace {

// --loss-scale speaks of the precisions that leave it open: fp16.
std::vector<Precision> chosen_precisions(const std::string& list, const std::string& loss_scale) {
  auto precisions = parse_precisions(list);
  if (loss_scale.empty()) return precisions;
  const auto fp16 =
      std::find_if(precisions.begin(), precisions.end(), [](auto& p) { return p.name == "fp16"; });
  if (fp16 == precisions.end()) {
    throw amp::InvalidArgument("--loss-scale applies to fp16, which --precisions '" + list +
                               "' does not name");
  }
  set_loss_scale(*fp16, loss_scale);
  return precisions;
}

std::vector<std::uint64_t> chosen_seeds(const Settings& settings, std::int64_t count) {
  if (count < 1 || count > 100) {
    throw amp::InvalidArgument("--seeds must be between 1 and 100, got " + std::to_string(count));
  }
  std::vector<std::uint64_t> seeds(static_cast<std::size_t>(count));
  std::iota(seeds.begin(), seeds.end(), static_cast<std::uint64_t>(settings.seed));
  return seeds;
}

// What compare is asked besides the training.
struct Question {
  std::string precisions = "fp32,bf16,fp16,fp16-unscaled";
  std::int64_t seeds = 1;
  std::int64_t inspect = 0;  // every so many micro-batches, op by op beside fp32; 0: not
  double margin = 0;         // points of accuracy or percent of perplexity; 0: by metric
  bool no_perturbed_baseline = false;
};

void check(const Question& question) {
  if (question.inspect < 0)
    throw amp::InvalidArgument("--inspect must be >= 1, got " + std::to_string(question.inspect));
  if (!(question.margin >= 0 && question.margin < 100)) {
    char given[32];
    std::snprintf(given, sizeof given, "%g", question.margin);
    throw amp::InvalidArgument(std::string("--margin must be between 0 and 100, got ") + given);
  }
}

// The runs of one command, which share seeds and batches.
class Comparing {
 public:
  Comparing(const Settings& settings, const amp::Task& task, const Question& question,
            const std::vector<Precision>& precisions, const std::vector<std::uint64_t>& seeds)
      : precisions_(precisions),
        seeds_(seeds),
        session_("compare", settings, task, seeds,
                 question.margin > 0 ? nlohmann::json{{"margin", question.margin / 100}}
                                     : nlohmann::json::object()) {
    if (question.inspect > 0) live_.emplace(session_.folder(), settings, question.inspect);
    perturbs_ = !question.no_perturbed_baseline && std::ssize(seeds) < kPairsEnough;
  }

  // Seeds outside, precisions inside: a machine that slows down half way slows all precisions alike. The first
  // seed's runs are inspected.
  int run() {
    for (const auto seed : seeds_) {
      for (const auto& precision : precisions_) {
        plan_.precision = precision;
        plan_.seed = seed;
        const auto ending = run_one();
        if (ending == Ending::interrupted) return cut_short();
        note_for_noise(ending);
        ++plan_.run;
      }
    }
    const auto planned = plan_.run;
    if (perturbs_ && baseline_.has_value() && others_ && run_again() == Ending::interrupted)
      return cut_short();
    session_.finish(false);
    if (std::ssize(failures_) < planned) return kOk;
    // Nothing is left to compare.
    throw ModelError(*std::ranges::max_element(failures_, {}, status_of));
  }

 private:
  int cut_short() {
    session_.finish(true);
    return kInterrupted;
  }

  Ending run_one() {
    const auto watch =
        live_.has_value() && plan_.seed == seeds_.front() ? live_->watch(plan_.precision) : nullptr;
    plan_.observer = watch.get();
    const auto ending = run_or_fail();
    if (watch != nullptr) session_.note(live_->add(plan_, *watch));
    plan_.observer = nullptr;
    return ending;
  }

  // What the model throws in one precision leaves the others as they are.
  Ending run_or_fail() {
    try {
      return session_.run(plan_);
    } catch (const ModelError& error) {
      failures_.push_back(error);
      return Ending::failed;
    }
  }

  // The perturbed run repeats the first of fp32 that went well, if there is one to compare with it.
  void note_for_noise(Ending ending) {
    if (ending != Ending::finished) return;
    if (plan_.precision.name != "fp32") {
      others_ = true;
    } else if (!baseline_.has_value()) {
      baseline_ = plan_;
    }
  }

  // The training in fp32 once more from weights that are moved a little.
  Ending run_again() {
    const auto number = plan_.run;
    plan_ = *baseline_;
    plan_.run = number;
    plan_.observer = nullptr;
    plan_.perturbation = kPerturbation;
    try {
      return session_.run(plan_);
    } catch (const ModelError&) {  // then the noise is known less well
      return Ending::failed;
    }
  }

  const std::vector<Precision>& precisions_;
  const std::vector<std::uint64_t>& seeds_;
  Session session_;
  std::optional<LiveComparison> live_;
  RunPlan plan_;
  std::vector<ModelError> failures_;
  bool perturbs_ = false;
  std::optional<RunPlan> baseline_;
  bool others_ = false;
};

int run_compare(Settings settings, const Question& question) {
  complete_settings(settings);
  check(question);
  auto precisions = chosen_precisions(question.precisions, settings.loss_scale);
  for (auto& precision : precisions) complete(precision.recipe, settings);
  const auto task = prepare(settings);
  const auto seeds = chosen_seeds(settings, question.seeds);
  if (question.inspect > 0 && std::ranges::all_of(precisions, is_fp32))
    throw amp::InvalidArgument("--inspect compares low precision with fp32, and --precisions '" +
                               question.precisions + "' names none; add bf16 or fp16");
  return Comparing(settings, *task, question, precisions, seeds).run();
}

}  // namespace

void add_compare(CLI::App& app, Action& action) {
  auto* command =
      app.add_subcommand("compare", "Train in several precisions and show what each costs");
  const auto settings = std::make_shared<Settings>();
  const auto question = std::make_shared<Question>();
  command
      ->add_option("--precisions", question->precisions,
                   "A list of fp32, bf16, fp16, fp16-unscaled, fp16-scale-N, FORMAT-emulated")
      ->capture_default_str();
  command
      ->add_option("--seeds", question->seeds,
                   "Runs of each precision; with 3 and more their pairs tell the noise")
      ->capture_default_str();
  command->add_option("--seed", settings->seed, "The first seed")->capture_default_str();
  command->add_option("--margin", question->margin,
                      "A smaller difference to fp32 counts as none: points of accuracy, or % of "
                      "perplexity (default: 0.5 points, 1 %)");
  command->add_flag(
      "--no-perturbed-baseline", question->no_perturbed_baseline,
      "With 1 or 2 seeds, leave out the second training in fp32 that tells the noise");
  command->add_flag(
      "--inspect{100}", question->inspect,
      "Every N micro-batches (--inspect=N, else 100), beside fp32: every op on the same "
      "inputs, and the gradients");
  add_training_options(*command, *settings);
  command->callback([=, &action] {
    note_given_options(*command, *settings);
    action = [=] { return run_compare(*settings, *question); };
  });
}

}  // namespace ampersand
