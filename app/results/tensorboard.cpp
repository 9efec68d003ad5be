// The events of a training as TensorBoard shows them.
#include "app/results/tensorboard.h"

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

namespace ampersand {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// A loss that was Inf or NaN is null, and has no point.
void add_scalar(EventFile& file, const std::string& tag, const json& event, const char* field) {
  const auto found = event.find(field);
  if (found == event.end() || !found->is_number()) return;
  file.scalar(tag, event.at("step").get<std::int64_t>(), found->get<float>(), now());
}

// "test/loss" of test_loss, "test/perplexity" of perplexity, "test/ema_accuracy" of ema_test_accuracy.
std::string tag_of(std::string name) {
  if (const auto test = name.find("test_"); test != std::string::npos) name.erase(test, 5);
  return "test/" + name;
}

}  // namespace

TensorBoard::TensorBoard(fs::path folder) : folder_(std::move(folder)) {}

void TensorBoard::add(const json& event) {
  if (!event.contains("run")) return;
  const std::string kind = event.at("event");
  auto& run = runs_[event.at("run").get<std::int64_t>()];
  if (kind == "run") {
    const auto folder = folder_ / (event.at("precision").get<std::string>() + "-seed" +
                                   std::to_string(event.at("seed").get<std::int64_t>()) +
                                   (event.value("perturbed", false) ? "-perturbed" : ""));
    fs::create_directories(folder);
    run.file = std::make_unique<EventFile>(folder, now());
  }
  if (run.file == nullptr) return;
  if (const auto step = step_event(event); step && !step->is_flush) add_step(run, *step);
  if (kind == "evaluation") {
    for (const auto& [name, value] : event.items()) {
      if (value.is_number() && name != "run" && name != "step")
        add_scalar(*run.file, tag_of(name), event, name.c_str());
    }
  }
}

void TensorBoard::add_step(Run& run, const StepEvent& event) {
  const auto add = [&](const char* tag, const std::optional<double>& value) {
    // A loss that was Inf or NaN has no point.
    if (value && std::isfinite(*value))
      run.file->scalar(tag, event.step, static_cast<float>(*value), now());
  };
  add("train/loss", event.loss);
  add("train/learning_rate", event.learning_rate);
  add("train/loss_scale", event.scale);
  add("train/gradient_norm", event.grad_norm);
  if (!event.skipped) return;
  ++run.skipped;
  add("train/skipped_steps", static_cast<double>(run.skipped));
}

}  // namespace ampersand
