// The steps that a StepObserver looks at from inside.
#pragma once

#include <vector>

#include "app/training/training_observer.h"

namespace ampersand {

class InspectedSteps : public TrainingObserver {
 public:
  explicit InspectedSteps(Run& run) : run_(run) {}
  ~InspectedSteps() override;
  InspectedSteps(const InspectedSteps&) = delete;
  InspectedSteps& operator=(const InspectedSteps&) = delete;

  bool takes_step() const override;
  amp::StepReport step(Passes& passes) override;
  bool seen_enough() const { return seen_enough_; }

 private:
  std::vector<at::Tensor> gradients_in_fp32(Passes& passes);

  Run& run_;
  bool seen_enough_ = false;
};

}  // namespace ampersand
