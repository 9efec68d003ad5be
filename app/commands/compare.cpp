// ampersand compare: one model in several precisions, with the same weights and batches to begin
// with.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <numeric>

#include "amp/error.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/session.h"
#include "app/commands/training_options.h"
#include "app/tasks/tasks.h"
#include "app/training/precision.h"

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

// Seeds outside, precisions inside: a machine that slows down half way slows all precisions alike.
int run_compare(Settings settings, const std::string& list, std::int64_t seed_count) {
  complete_settings(settings);
  auto precisions = chosen_precisions(list, settings.loss_scale);
  for (auto& precision : precisions) complete(precision.recipe, settings);
  const auto task = prepare(settings);
  const auto seeds = chosen_seeds(settings, seed_count);
  Session session("compare", settings, *task, seeds);
  RunPlan plan;
  for (const auto seed : seeds) {
    for (const auto& precision : precisions) {
      plan.precision = precision;
      plan.seed = seed;
      if (session.run(plan) == Ending::interrupted) {
        session.finish(true);
        return kInterrupted;
      }
      ++plan.run;
    }
  }
  session.finish(false);
  return kOk;
}

}  // namespace

void add_compare(CLI::App& app, Action& action) {
  auto* command =
      app.add_subcommand("compare", "Train in several precisions and show what each costs");
  const auto settings = std::make_shared<Settings>();
  const auto precisions = std::make_shared<std::string>("fp32,bf16,fp16,fp16-unscaled");
  const auto seeds = std::make_shared<std::int64_t>(1);
  command
      ->add_option("--precisions", *precisions,
                   "A list of fp32, bf16, fp16, fp16-unscaled, fp16-scale-N, FORMAT-emulated")
      ->capture_default_str();
  command->add_option("--seeds", *seeds, "Runs of each precision, with mean and deviation")
      ->capture_default_str();
  command->add_option("--seed", settings->seed, "The first seed")->capture_default_str();
  add_training_options(*command, *settings);
  command->callback([=, &action] {
    note_given_options(*command, *settings);
    action = [=] { return run_compare(*settings, *precisions, *seeds); };
  });
}

}  // namespace ampersand
