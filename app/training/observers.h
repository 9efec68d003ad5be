// The small observers of a training, one for each thing that it does beside its steps.
#pragma once

#include "app/training/training_observer.h"

namespace ampersand {

// Sets the learning rate of the step to come.
class ScheduledRate : public TrainingObserver {
 public:
  using TrainingObserver::TrainingObserver;
  void before_step(Passes& passes, StepEvent& event) override;
};

// --gradient-range: tells where the gradients lie when nothing is rounded. It takes a backward pass
// of its own, in fp32 with the weights as they are, which leaves no trace in the training.
class GradientRanges : public TrainingObserver {
 public:
  using TrainingObserver::TrainingObserver;
  void before_step(Passes& passes, StepEvent& event) override;
};

// Counts the memory of the first micro-batch of the second accumulation group: those before it pay
// for set-up, and those after it are like it. If another observer takes that one, it is the first of
// a later group.
class MemoryCount : public TrainingObserver {
 public:
  using TrainingObserver::TrainingObserver;
  bool takes_step() const override;
  amp::StepReport step(Passes& passes) override;
  // Then nothing is alive but the weights and what the optimizer keeps.
  void after_training() override;
};

// --explain: tells which rule each op of the first micro-batch met.
class Explanation : public TrainingObserver {
 public:
  using TrainingObserver::TrainingObserver;
  bool takes_step() const override;
  amp::StepReport step(Passes& passes) override;
};

// Counts the steps of the optimizer, and keeps the moving average of the weights.
class Averaging : public TrainingObserver {
 public:
  using TrainingObserver::TrainingObserver;
  void after_step(const amp::StepReport& report, StepEvent& event) override;
};

// Tells what `replay` needs: whether a gradient of each parameter group was not finite, and how many
// clean steps the scaler has counted since the scale changed.
class ScalerTelemetry : public TrainingObserver {
 public:
  using TrainingObserver::TrainingObserver;
  void after_step(const amp::StepReport& report, StepEvent& event) override;
};

}  // namespace ampersand
