// Where the memory of a training goes.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>

#include "amp/train_step.h"
#include "app/models/model.h"
#include "app/training/memory_census.h"

namespace ampersand {

// Watches a training's allocations from before its model is made, and counts one micro-batch in
// full. Make it first, so that it sees every tensor come and go.
class StepMemory {
 public:
  // What is there already belongs to the data.
  void set_data_aside() { data_ = watch_.live_bytes(); }

  // Once model, masters and moving average are there.
  void know(const Model& model, const amp::TrainStep& train_step, std::int64_t average_bytes);

  // Runs `step`, which calls its argument between its forward and its backward pass, and counts
  // what is alive there and the gradients that come after.
  amp::StepReport count(
      const Model& model,
      const std::function<amp::StepReport(const std::function<void()>& after_forward)>& step);
  bool counted() const { return counted_; }

  // The "memory" event, when nothing is alive but weights and what the optimizer keeps.
  nlohmann::json event(const torch::optim::Optimizer& optimizer) const;
  std::int64_t peak_bytes() const { return watch_.peak_bytes(); }

 private:
  MemoryWatch watch_;
  std::int64_t data_ = 0, weights_ = 0, masters_ = 0, average_ = 0, gradients_ = 0;
  LiveBytes after_forward_;
  bool counted_ = false;
};

}  // namespace ampersand
