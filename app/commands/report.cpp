// ampersand report: makes the page again from a results folder.
#include "app/report/report.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

#include "amp/error.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/session.h"
#include "app/results/metrics_file.h"
#include "app/results/results.h"

namespace ampersand {
namespace {

// metrics.jsonl is the source of truth; results.json alone, as it may be handed around, will do
// too.
nlohmann::json load_results(const std::filesystem::path& folder) {
  const auto metrics = folder / "metrics.jsonl";
  if (std::filesystem::exists(metrics)) {
    ResultsBuilder builder;
    for (const auto& event : read_metrics(metrics)) builder.add(event);
    return builder.results();
  }
  const auto path = folder / "results.json";
  std::ifstream stream(path);
  if (!stream)
    throw amp::IoError(folder,
                       "has neither metrics.jsonl nor results.json; give a folder of results");
  auto results = nlohmann::json::parse(stream, nullptr, false);
  if (results.is_discarded()) throw amp::IoError(path, "is not JSON");
  return results;
}

int run_report(const std::string& folder) {
  std::printf("%s\n", write_report(folder, load_results(folder)).c_str());
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
