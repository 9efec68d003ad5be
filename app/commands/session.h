// One command's training runs from the first event to the last file.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/results/metrics_file.h"
#include "app/results/results.h"
#include "app/results/tensorboard.h"
#include "app/training/trainer.h"
#include "src/files/folder_lock.h"

namespace ampersand {

// Makes the output folder and holds it against other processes, keeps metrics.jsonl as training
// goes, and writes results.json and report.html at the end, also after an interruption.
class Session {
 public:
  // kind: "train" or "compare". more: settings of this command alone. Throws amp::IoError for a folder that cannot be written, and
  // amp::InvalidArgument for one that has results while settings.overwrite is false, or that
  // another process writes to.
  Session(std::string kind, const Settings& settings, const amp::Task& task,
          const std::vector<std::uint64_t>& seeds,
          const nlohmann::json& more = nlohmann::json::object());

  // Goes on with the run in settings.resume from a step: what its metrics say of later ones is
  // dropped, because it will happen again.
  Session(const Settings& settings, const amp::Task& task, std::int64_t step);

  const std::filesystem::path& folder() const { return folder_; }

  // Trains, with a progress line.
  Ending run(const RunPlan& plan);

  // Adds an event to the metrics and the results, which is no part of a training.
  void note(const nlohmann::json& event) { record(event); }

  // Writes results.json and report.html, and prints the table and where they are. Returns the
  // results.
  nlohmann::json finish(bool interrupted);

 private:
  void record(const nlohmann::json& event);
  void log(const nlohmann::json& event);

  const Settings& settings_;
  const amp::Task& task_;
  std::filesystem::path folder_;
  std::unique_ptr<amp::files::FolderLock> lock_;
  std::unique_ptr<MetricsFile> metrics_;
  std::unique_ptr<TensorBoard> tensorboard_;
  ResultsBuilder results_;
  nlohmann::json casts_;              // the event that --explain asks for
  std::vector<std::string> samples_;  // what the model writes
};

// Writes results.json's page beside it. Returns its path.
std::filesystem::path write_report(const std::filesystem::path& folder,
                                   const nlohmann::json& results);

// The words of the command line, for the results.
void set_command_line(int argc, const char* const* argv);
const std::string& the_command_line();

}  // namespace ampersand
