// Whoever looks at a training from inside, step by step.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <vector>

#include "amp/inspect/thrown.h"
#include "amp/task.h"
#include "amp/train_step.h"
#include "app/models/model.h"

namespace ampersand {

// The training calls, in this order: begin_training once; then for each micro-batch that it watches keep,
// begin_step, expect if it compares gradients, and either end_step or, where something threw, fail_step;
// end_training once, while the model still is there. What it throws ends the training.
class StepObserver {
 public:
  virtual ~StepObserver() = default;

  virtual void begin_training(Model& model, amp::TrainStep& step) = 0;
  virtual bool watches(std::int64_t /*step*/) const { return true; }
  virtual bool compares_gradients() const { return false; }

  // Before begin_step: the micro-batch, which may be played again while the training is there.
  virtual void keep(const amp::Batch& /*batch*/, Model& /*model*/) {}
  // step: micro-batches, from 1. loss_scale: what the loss will be multiplied by.
  virtual void begin_step(std::int64_t step, double loss_scale) = 0;
  // What fp32 gives as the gradient of each parameter with the same weights and the same micro-batch,
  // without loss scale; undefined where there is none.
  virtual void expect(const std::vector<at::Tensor>& /*parameters*/,
                      const std::vector<at::Tensor>& /*gradients*/) {}
  // Returns whether the training goes on.
  virtual bool end_step(const amp::StepReport& report) = 0;
  // In the place of end_step; the exception goes on its way. Returns what is known of where it came from.
  virtual std::optional<amp::Thrown> fail_step(const std::exception_ptr& error) = 0;
  virtual void end_training() noexcept {}
};

}  // namespace ampersand
