// Whatever a training does beside its steps.
#pragma once

#include "amp/train_step.h"
#include "app/results/step_event.h"
#include "app/training/passes.h"

namespace ampersand {

// The loop calls, for each micro-batch and each observer in their order: before_step; then step of
// the first one that takes it; after_step; and after_micro_batch once the micro-batch is told.
class TrainingObserver {
 public:
  explicit TrainingObserver(Run& run) : run_(run) {}
  virtual ~TrainingObserver() = default;
  TrainingObserver(const TrainingObserver&) = delete;
  TrainingObserver& operator=(const TrainingObserver&) = delete;

  // event: the micro-batch's, which an observer may add to.
  virtual void before_step(Passes& /*passes*/, StepEvent& /*event*/) {}
  // Whether this observer runs the coming step itself, by step().
  virtual bool takes_step() const { return false; }
  virtual amp::StepReport step(Passes& passes) { return passes.step(); }
  // Also after the flush of a group that is not full. event: the micro-batch's or the flush's.
  virtual void after_step(const amp::StepReport& /*report*/, StepEvent& /*event*/) {}
  virtual void after_micro_batch() {}
  // After the last step, however the training ended, unless it threw.
  virtual void after_training() {}

 protected:
  Run& run_;
};

}  // namespace ampersand
