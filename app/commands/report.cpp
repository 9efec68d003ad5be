// ampersand report: makes the page again from a results folder.
#include "app/report/report.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "amp/error.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/session.h"
#include "app/files/own_files.h"
#include "app/results/metrics_file.h"
#include "app/results/results.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json results_of_metrics(const fs::path& path) {
  const auto events = read_metrics(path);
  ResultsBuilder builder;
  std::size_t line = 0;
  try {
    for (; line < events.size(); ++line) builder.add(events[line]);
  } catch (const json::exception& error) {
    throw amp::IoError(path, "line " + std::to_string(line + 1) + " is no event of a training (" +
                                 error.what() + ")");
  }
  try {
    auto results = builder.results();
    if (results.at("runs").empty()) throw amp::IoError(path, "no run has begun in it");
    return results;
  } catch (const json::exception& error) {
    throw amp::IoError(path, std::string("events are missing (") + error.what() + ")");
  }
}

// metrics.jsonl is the source of truth; results.json alone, as it may be handed around, will do
// too.
json load_results(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder / "metrics.jsonl", error))
    return results_of_metrics(folder / "metrics.jsonl");
  const auto path = folder / "results.json";
  std::ifstream stream(path);
  if (!stream)
    throw amp::IoError(folder,
                       "has neither metrics.jsonl nor results.json; give a folder of results");
  auto results = json::parse(stream, nullptr, false);
  if (results.is_discarded()) throw amp::IoError(path, "is not JSON");
  return results;
}

int run_report(const std::string& folder) {
  const auto results = load_results(folder);
  keep_own_files(folder);
  check_replaceable(fs::path(folder) / "report.html");
  try {
    std::printf("%s\n", write_report(folder, results).c_str());
  } catch (const amp::InvalidArgument& error) {
    throw amp::IoError(folder, error.what());
  }
  return kOk;
}

}  // namespace

void add_report(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("report", "Make report.html again from a results folder");
  const auto folder = std::make_shared<std::string>();
  command->add_option("folder", *folder, "What train or compare wrote")->required();
  command->callback([=, &action] { action = [=] { return run_report(*folder); }; });
}

}  // namespace ampersand
