// ampersand replay: what other settings of the loss scaler would have done on a training that is over.
#include "amp/inspect/replay.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "amp/error.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/inspection/scaler_trace.h"
#include "app/results/metrics_file.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct ReplayOptions {
  std::string where;  // a folder with metrics.jsonl, or such a file
  std::int64_t run = -1;
  amp::GradScalerOptions asked;
  bool as_json = false;
};

json settings_json_of(const amp::GradScalerOptions& options) {
  return {{"init_scale", options.init_scale},
          {"growth_factor", options.growth_factor},
          {"backoff_factor", options.backoff_factor},
          {"growth_interval", options.growth_interval}};
}

// [[step, scale], ...] at the first step and at each change.
json course_of(const std::vector<std::int64_t>& steps, const std::vector<double>& scales) {
  json course = json::array();
  for (std::size_t i = 0; i < scales.size(); ++i) {
    if (i == 0 || scales[i] != scales[i - 1]) course.push_back({steps[i], scales[i]});
  }
  return course;
}

json replayed(const ScalerTrace& trace, const amp::GradScalerOptions& options) {
  const auto outcome = amp::replay(trace.trace, options);
  return {{"settings", settings_json_of(options)},
          {"skipped", outcome.skipped},
          {"uncertain", outcome.uncertain},
          {"final_scale", outcome.final_scale},
          {"mean_log2_scale", outcome.mean_log2_scale},
          {"course", course_of(trace.steps, outcome.scales)}};
}

json recorded(const ScalerTrace& trace) {
  std::vector<double> scales;
  for (const auto& step : trace.trace) scales.push_back(step.loss_scale);
  return {{"settings", settings_json_of(trace.options)},
          {"skipped", trace.skipped},
          {"final_scale", trace.final_scale},
          {"course", course_of(trace.steps, scales)}};
}

void print_answer(const json& answer) {
  std::printf("run %ld: %s, %s loss scaling, %ld steps\n\n", answer["run"].get<long>(),
              answer["precision"].get<std::string>().c_str(),
              answer["loss_scaling"].get<std::string>().c_str(), answer["steps"].get<long>());
  std::printf("%-10s %10s %7s %8s %9s %8s %10s %11s\n", "", "init scale", "growth", "backoff",
              "interval", "skipped", "uncertain", "final scale");
  for (const auto& [key, name] : {std::pair{"recorded", "as it was"}, std::pair{"asked", "asked"},
                                  std::pair{"suggested", "suggested"}}) {
    const auto& row = answer.at(key);
    const auto& s = row.at("settings");
    const auto uncertain = row.contains("uncertain") ? row["uncertain"].dump() : "-";
    std::printf("%-10s %10g %7g %8g %9ld %8ld %10s %11g\n", name, s["init_scale"].get<double>(),
                s["growth_factor"].get<double>(), s["backoff_factor"].get<double>(),
                s["growth_interval"].get<long>(), row["skipped"].get<long>(), uncertain.c_str(),
                row["final_scale"].get<double>());
  }
  std::printf(
      "\nuncertain: steps at a scale of which the trace does not tell; they count as\n"
      "clean. Train with --gradient-range N to know more.\n");
}

int run_replay(const ReplayOptions& options) {
  std::error_code error;
  const fs::path where = options.where;
  const auto file = fs::is_directory(where, error) ? where / "metrics.jsonl" : where;
  const auto events = read_metrics(file);
  ScalerTrace trace;
  try {
    trace = scaler_trace(events, options.run);
  } catch (const amp::InvalidArgument& failure) {
    if (options.run >= 0) throw;
    throw amp::IoError(file, failure.what());
  }
  const json answer = {
      {"run", trace.run},
      {"precision", trace.precision},
      {"loss_scaling", trace.loss_scaling},
      {"steps", trace.trace.size()},
      {"recorded", recorded(trace)},
      {"asked", replayed(trace, options.asked)},
      {"suggested", replayed(trace, amp::suggest_scaler(trace.trace, options.asked))}};
  if (options.as_json) {
    std::printf("%s\n", answer.dump(1, ' ', false, json::error_handler_t::replace).c_str());
  } else {
    print_answer(answer);
  }
  return kOk;
}

}  // namespace

void add_replay(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand(
      "replay", "What other settings of the loss scaler would have done on a run");
  const auto options = std::make_shared<ReplayOptions>();
  auto& asked = options->asked;
  command
      ->add_option("run-folder", options->where, "What train or compare wrote, or a metrics.jsonl")
      ->required();
  command->add_option("--run", options->run,
                      "Which run of a compare (default: the first with a scale)");
  command->add_option("--init-scale", asked.init_scale, "The scale to begin with")
      ->capture_default_str();
  command->add_option("--growth-factor", asked.growth_factor, "What it grows by")
      ->capture_default_str();
  command->add_option("--backoff-factor", asked.backoff_factor, "What it shrinks by")
      ->capture_default_str();
  command->add_option("--growth-interval", asked.growth_interval, "Clean steps before it grows")
      ->capture_default_str();
  command->add_flag("--json", options->as_json, "Print JSON");
  command->callback([=, &action] { action = [=] { return run_replay(*options); }; });
}

}  // namespace ampersand
