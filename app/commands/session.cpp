// One command's training runs.
#include "app/commands/session.h"

#include <cstdio>
#include <utility>

#include "amp/error.h"
#include "amp/version.h"
#include "app/commands/output_folder.h"
#include "app/files/mappings.h"
#include "app/files/own_files.h"
#include "app/files/utf8.h"
#include "app/files/write_file.h"
#include "app/report/report.h"
#include "app/results/machine.h"
#include "app/results/results_table.h"
#include "app/results/step_event.h"
#include "app/task_choice/task_json.h"
#include "app/terminal/cast_listing.h"
#include "app/terminal/progress.h"
#include "app/terminal/wrapped.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string command_line = "ampersand";

// Opens the new metrics, then removes what an earlier command made of its own: it would contradict
// them until they are complete.
std::unique_ptr<MetricsFile> new_metrics(const fs::path& folder) {
  auto metrics = std::make_unique<MetricsFile>(folder / "metrics.jsonl");
  for (const char* name : {"results.json", "report.html", "recipe.json", "vocabulary.json"})
    remove_own_file(folder, name);
  remove_checkpoints(folder / "checkpoints");
  std::error_code ignored;
  if (!fs::is_symlink(folder / "checkpoints", ignored))
    fs::remove(folder / "checkpoints", ignored);  // only if it is empty
  remove_own_folder(folder, "tensorboard");
  return metrics;
}

// The events of a run up to a step.
std::vector<json> events_until(const fs::path& file, std::int64_t step) {
  std::vector<json> kept;
  for (auto& event : read_metrics(file)) {
    const std::string kind = event.value("event", "");
    const bool begins = kind == "start" || kind == "run" || kind == "resume";
    const bool tells = kind == "step" || kind == "evaluation" || kind == "gradients";
    if (begins || (tells && event.at("step").get<std::int64_t>() <= step))
      kept.push_back(std::move(event));
  }
  return kept;
}

json described(const Settings& settings, const amp::Task& task,
               const std::vector<std::uint64_t>& seeds) {
  auto object = settings_json(settings);
  if (settings.loss_scale.empty()) object["loss_scale"] = "by precision";
  object.update(task_description(task));
  object["seeds"] = seeds;
  return object;
}

json joined(json object, const json& more) {
  object.update(more);
  return object;
}

// rate: samples a second; tokens: of a sample, 0 where there are none.
std::string details_of(const StepEvent& event, double rate, double tokens) {
  char text[128];
  std::snprintf(text, sizeof text, "epoch %ld  loss %.4f  scale %g  %.0f %s/s",
                static_cast<long>(event.epoch.value_or(1)), event.loss_or_nan(), event.scale,
                tokens > 0 ? rate * tokens : rate, tokens > 0 ? "tokens" : "samples");
  return text;
}

// Line ends shown as a mark, and other control characters, which a terminal would obey, left out.
std::string in_one_line(const std::string& text) {
  std::string line;
  for (const char c : valid_utf8(text)) {
    if (c == '\n') {
      line += " / ";
    } else if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) {
      line += c;
    }
  }
  return line;
}

}  // namespace

const std::string& the_command_line() { return command_line; }

void set_command_line(int argc, const char* const* argv) {
  command_line = "ampersand";
  for (int i = 1; i < argc; ++i) command_line.append(" ").append(escaped_name(argv[i]));
}

fs::path write_report(const fs::path& folder, const json& results) {
  const auto path = folder / "report.html";
  write_file(path, render_report(results));
  return path;
}

Session::Session(std::string kind, const Settings& settings, const amp::Task& task,
                 const std::vector<std::uint64_t>& seeds, const json& more)
    : settings_(settings),
      task_(task),
      folder_(output_folder(kind, settings, {"metrics.jsonl", "results.json"})),
      lock_(std::make_unique<amp::files::FolderLock>(folder_)),
      metrics_(new_metrics(folder_)) {
  if (settings.tensorboard) tensorboard_ = std::make_unique<TensorBoard>(folder_ / "tensorboard");
  record({{"event", "start"},
          {"version", amp::version()},
          {"command", command_line},
          {"kind", kind},
          {"created", timestamp()},
          {"machine", machine_json()},
          {"settings", joined(described(settings, task, seeds), more)}});
}

Session::Session(const Settings& settings, const amp::Task& task, std::int64_t step)
    : settings_(settings),
      task_(task),
      folder_(settings.resume),
      lock_(std::make_unique<amp::files::FolderLock>(folder_)) {
  keep_own_files(folder_);
  for (const char* name :
       {"metrics.jsonl", "results.json", "report.html", "recipe.json", "vocabulary.json"})
    check_replaceable(folder_ / name);
  const auto events = events_until(folder_ / "metrics.jsonl", step);
  metrics_ = std::make_unique<MetricsFile>(folder_ / "metrics.jsonl", events);
  for (const char* name : {"results.json", "report.html"}) remove_own_file(folder_, name);
  remove_own_folder(folder_, "tensorboard");
  if (settings.tensorboard) tensorboard_ = std::make_unique<TensorBoard>(folder_ / "tensorboard");
  for (const auto& event : events) log(event);
  record({{"event", "resume"},
          {"run", 0},
          {"step", step},
          {"command", command_line},
          {"settings", described(settings, task, {static_cast<std::uint64_t>(settings.seed)})}});
}

void Session::record(const json& event) {
  metrics_->write(event);
  log(event);
}

void Session::log(const json& event) {
  results_.add(event);
  if (tensorboard_ != nullptr) tensorboard_->add(event);
}

Ending Session::run(const RunPlan& plan) {
  const std::string again = plan.perturbation.has_value() ? " again, for its noise" : "";
  Progress progress(plan.precision.name + again + ", seed " + std::to_string(plan.seed),
                    planned_steps(settings_, task_.training_samples()));
  double rate = 0;
  const auto follow = [&](const json& event) {
    record(event);
    if (event.at("event") == "casts") casts_ = event;
    if (event.at("event") == "sample") samples_.push_back(event.at("text"));
    const auto step = step_event(event);
    if (!step || step->is_flush) return;
    const double now = static_cast<double>(settings_.batch_size) / step->seconds.value_or(1);
    rate = rate == 0 ? now : 0.95 * rate + 0.05 * now;
    progress.show(step->step, details_of(*step, rate, task_.tokens_per_sample()));
  };
  try {
    return train(plan, settings_, task_, follow);
  } catch (const LostData&) {
    finish(false);
    throw;
  }
}

json Session::finish(bool interrupted) {
  record({{"event", "finish"}, {"interrupted", interrupted}, {"machine", machine_json()}});
  auto results = results_.results();
  write_file(folder_ / "results.json",
             results.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
  const auto page = write_report(folder_, results);
  const auto width = output_width();
  std::printf("\n%s\n", results_table(results, width).c_str());
  for (const auto& sentence : results.at("verdict"))
    std::printf("%s\n", wrapped(sentence.get<std::string>(), width).c_str());
  for (const auto& run : results.at("runs")) {
    if (!run.contains("inspection")) continue;
    for (const auto& sentence : run.at("inspection").at("sentences"))
      std::printf("\n%s", wrapped("inspect  " + run.at("precision").get<std::string>() + ": " +
                                      sentence.get<std::string>(),
                                  width, 9)
                              .c_str());
    std::printf("\n");
  }
  for (const auto& text : samples_)
    std::printf("\n%s\n", wrapped("sample   " + in_one_line(text), width, 9).c_str());
  if (!casts_.is_null()) std::printf("\n%s", wrapped(cast_listing(casts_), width, 33).c_str());
  std::printf("\nresults  %s\nreport   %s\n", (folder_ / "results.json").c_str(), page.c_str());
  return results;
}

}  // namespace ampersand
