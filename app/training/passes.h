// The forward and the backward pass of a micro-batch, and whose exception it is that ends them.
#pragma once

#include <functional>
#include <optional>
#include <utility>

#include "app/models/model_error.h"
#include "app/training/run.h"
#include "app/training/step_guard.h"

namespace ampersand {

class Passes {
 public:
  explicit Passes(Run& run) : run_(run) {}

  // The micro-batch in work, made when it is first asked for: within a step that is counted, so that
  // it counts.
  const amp::Batch& batch();
  void end_batch() { batch_.reset(); }

  // One call of the TrainStep. after_forward is called between the two passes.
  amp::StepReport step(const std::function<void()>& after_forward);
  amp::StepReport step() {
    return step([] {});
  }
  // The loss of the last step. Waits for the device.
  double loss();

  at::Tensor loss_of(const amp::Batch& batch);
  // The micro-batch in fp32, for passes outside of autocast.
  amp::Batch wide_batch();
  // Does the work; what its backward pass throws is the model's, too: a ModelError.
  template <typename Work>
  auto guarded(Work&& work) {
    return guard_.run(
        work, [this] { return !gave_up() && throws_alone(); },
        [this](const std::exception_ptr& error) { fail_in_backward(error); });
  }
  // Runs both passes once more, to learn which op threw.
  amp::Thrown sought(const amp::Thrown& thrown);

 private:
  amp::Batch next_batch();
  bool gave_up() const;
  bool throws_alone();
  void both_passes();
  [[noreturn]] void fail_in_backward(const std::exception_ptr& error);

  Run& run_;
  std::optional<amp::Batch> batch_;
  at::Tensor loss_;  // of the last micro-batch, on the device
  StepGuard guard_;
};

}  // namespace ampersand
