// ampersand info: which formats this machine computes natively, and how fast.
#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "amp/task.h"
#include "amp/version.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/results/machine.h"
#include "app/results/speed.h"
#include "app/settings/processors.h"
#include "app/terminal/wrapped.h"

namespace ampersand {
namespace {

using nlohmann::json;

json measured() {
  auto info = machine_json();
  info["version"] = amp::version();
  info["formats"] = json::array();
  for (const auto& speed : measure_formats()) {
    info["formats"].push_back({{"format", speed.format},
                               {"engine", speed.engine},
                               {"native", speed.native},
                               {"gflops", speed.gflops}});
  }
  info["copy_gb_per_second"] = measure_copy();
  return info;
}

std::string joined(const json& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word.get<std::string>();
  return text;
}

std::string cuda() {
#ifdef AMP_CUDA
  const auto devices = static_cast<long>(at::getNumGPUs());
  return devices == 0 ? "no device here" : std::to_string(devices) + " device(s)";
#else
  return "not in this build";
#endif
}

void print(const json& info) {
  std::printf("ampersand %s, LibTorch %s\n", info["version"].get<std::string>().c_str(),
              info["libtorch"].get<std::string>().c_str());
  char counts[128];
  std::snprintf(counts, sizeof counts, "%ld cores, %ld threads in use, %.1f GB of memory",
                info["cores"].get<long>(), info["threads"].get<long>(),
                1e-9 * info["memory_bytes"].get<double>());
  const auto processor = "processor  " + info["cpu"].get<std::string>() + ", " + counts;
  std::printf("%s\n", wrapped(processor, output_width(), 11).c_str());
  std::printf("%s\n",
              wrapped("features   " + joined(info["features"]), output_width(), 11).c_str());
  std::printf("CUDA       %s\n\n", cuda().c_str());
  std::printf("%-7s %-27s %-9s %8s\n", "format", "engine", "native", "GFLOP/s");
  for (const auto& row : info["formats"]) {
    std::printf("%-7s %-27s %-9s %8.0f\n", row["format"].get<std::string>().c_str(),
                row["engine"].get<std::string>().c_str(), row["native"].get<bool>() ? "yes" : "no",
                row["gflops"].get<double>());
  }
  std::printf(
      "\nmemory copy %.0f GB/s (read and written).\nProducts: 1024 x 1024 x 1024, median of "
      "nine.\n",
      info["copy_gb_per_second"].get<double>());
}

// As docs/models.md has it.
void print_tasks() {
  const auto listed = [](const std::vector<std::string>& names) {
    std::string list;
    for (const auto& name : names) list += (list.empty() ? "`" : ", `") + name + "`";
    return list;
  };
  std::printf("| task | `--model` | `--data` |\n|---|---|---|\n");
  for (const auto& info : amp::registered_tasks())
    std::printf("| %s | %s | %s |\n", info.name.c_str(), listed(info.models).c_str(),
                info.data_words.c_str());
}

int run_info(bool as_json, bool tasks, std::int64_t threads) {
  if (tasks) {
    print_tasks();
    return kOk;
  }
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : usable_processors()));
  const auto info = measured();
  if (as_json) {
    std::printf("%s\n", info.dump(1, ' ', false, json::error_handler_t::replace).c_str());
  } else {
    print(info);
  }
  return kOk;
}

}  // namespace

void add_info(CLI::App& app, Action& action) {
  auto* command =
      app.add_subcommand("info", "Which formats this machine computes natively, and how fast");
  const auto as_json = std::make_shared<bool>(false);
  const auto tasks = std::make_shared<bool>(false);
  const auto threads = std::make_shared<std::int64_t>(0);
  command->add_flag("--tasks", *tasks, "List the tasks, with their models and data, instead");
  command->add_flag("--json", *as_json, "Print JSON");
  command->add_option("--threads", *threads, "CPU threads; 0: as many as processors may be used")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  command->callback(
      [=, &action] { action = [=] { return run_info(*as_json, *tasks, *threads); }; });
}

}  // namespace ampersand
