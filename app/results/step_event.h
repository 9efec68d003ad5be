// A micro-batch as metrics.jsonl has it (docs/results.md): the events "step" and "flush".
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

namespace ampersand {

struct StepEvent {
  bool is_flush = false;  // the step of a last accumulation group that is not full
  std::int64_t run = 0;
  std::int64_t step = 0;  // micro-batches, from 1
  std::optional<std::int64_t> epoch = {};
  std::optional<double> learning_rate = {};
  // NaN also where JSON has null, of one that was Inf or NaN.
  std::optional<double> loss = {};
  double scale = 1;  // what the loss was multiplied by
  bool skipped = false;
  std::optional<double> seconds = {};
  std::optional<double> grad_norm = {};  // of a step that clips
  std::optional<std::vector<bool>> found_inf =
      {};  // of each parameter group, at the end of a group
  std::optional<std::int64_t> growth_tracker = {};  // of dynamic loss scaling

  double loss_or_nan() const { return loss.value_or(std::numeric_limits<double>::quiet_NaN()); }
};

nlohmann::json to_json(const StepEvent& event);
// Nothing for an event of another kind.
std::optional<StepEvent> step_event(const nlohmann::json& event);

}  // namespace ampersand
