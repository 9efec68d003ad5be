// One run of results.json, built from its events.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "app/results/step_event.h"

namespace ampersand {

// Keeps the mean training loss of about 200 stretches of steps, each evaluation, and each skipped
// step.
class RunRecord {
 public:
  void add(const nlohmann::json& event);  // all that have a run
  nlohmann::json as_json() const;

 private:
  void add_step(const StepEvent& event);
  void add_evaluation(const nlohmann::json& event);
  void add_gradients(const nlohmann::json& event);
  void add_memory(const nlohmann::json& event);
  void add_end(const nlohmann::json& event);
  void close_stretch();

  nlohmann::json run_ = nlohmann::json::object();
  nlohmann::json history_ = nlohmann::json::array();
  nlohmann::json skipped_at_ = nlohmann::json::array();
  std::int64_t stretch_ = 1;  // steps a history point stands for
  std::int64_t step_ = 0;
  std::int64_t in_stretch_ = 0;
  double loss_sum_ = 0;
  double scale_ = 1;
  double seconds_ = 0;
};

}  // namespace ampersand
