// ampersand compare: one model in several precisions, with the same weights and batches to begin
// with.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>

#include "amp/error.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/live_comparison.h"
#include "app/commands/session.h"
#include "app/commands/training_options.h"
#include "app/data/mappings.h"
#include "app/models/model_error.h"
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

// What the model throws in one precision leaves the others as they are; data that are lost end them all.
Ending run_or_fail(Session& session, const RunPlan& plan, std::vector<ModelError>& failures) {
  try {
    return session.run(plan);
  } catch (const ModelError& error) {
    failures.push_back(error);
    return Ending::failed;
  } catch (const LostData&) {
    session.finish(false);
    throw;
  }
}

// Seeds outside, precisions inside: a machine that slows down half way slows all precisions alike.
// inspect: compare the first seed's runs op by op with fp32 every so many micro-batches; 0: not.
int run_compare(Settings settings, const std::string& list, std::int64_t seed_count,
                std::int64_t inspect) {
  complete_settings(settings);
  if (inspect < 0)
    throw amp::InvalidArgument("--inspect must be >= 1, got " + std::to_string(inspect));
  auto precisions = chosen_precisions(list, settings.loss_scale);
  for (auto& precision : precisions) complete(precision.recipe, settings);
  const auto task = prepare(settings);
  const auto seeds = chosen_seeds(settings, seed_count);
  if (inspect > 0 && std::ranges::all_of(precisions, is_fp32))
    throw amp::InvalidArgument("--inspect compares low precision with fp32, and --precisions '" +
                               list + "' names none; add bf16 or fp16");
  Session session("compare", settings, *task, seeds);
  std::optional<LiveComparison> comparison;
  if (inspect > 0) comparison.emplace(session.folder(), settings, inspect);
  RunPlan plan;
  std::vector<ModelError> failures;
  for (const auto seed : seeds) {
    for (const auto& precision : precisions) {
      plan.precision = precision;
      plan.seed = seed;
      const auto watch =
          comparison.has_value() && seed == seeds.front() ? comparison->watch(precision) : nullptr;
      plan.observer = watch.get();
      const auto ending = run_or_fail(session, plan, failures);
      if (watch != nullptr) session.note(comparison->add(plan, *watch));
      if (ending == Ending::interrupted) {
        session.finish(true);
        return kInterrupted;
      }
      ++plan.run;
    }
  }
  session.finish(false);
  if (std::ssize(failures) < plan.run) return kOk;
  // Nothing is left to compare.
  throw ModelError(*std::ranges::max_element(failures, {}, status_of));
}

}  // namespace

void add_compare(CLI::App& app, Action& action) {
  auto* command =
      app.add_subcommand("compare", "Train in several precisions and show what each costs");
  const auto settings = std::make_shared<Settings>();
  const auto precisions = std::make_shared<std::string>("fp32,bf16,fp16,fp16-unscaled");
  const auto seeds = std::make_shared<std::int64_t>(1);
  const auto inspect = std::make_shared<std::int64_t>(0);
  command
      ->add_option("--precisions", *precisions,
                   "A list of fp32, bf16, fp16, fp16-unscaled, fp16-scale-N, FORMAT-emulated")
      ->capture_default_str();
  command->add_option("--seeds", *seeds, "Runs of each precision, with mean and deviation")
      ->capture_default_str();
  command->add_option("--seed", settings->seed, "The first seed")->capture_default_str();
  command->add_flag(
      "--inspect{100}", *inspect,
      "Every N micro-batches (--inspect=N, else 100), beside fp32: every op on the same "
      "inputs, and the gradients");
  add_training_options(*command, *settings);
  command->callback([=, &action] {
    note_given_options(*command, *settings);
    action = [=] { return run_compare(*settings, *precisions, *seeds, *inspect); };
  });
}

}  // namespace ampersand
