// The steps that a StepObserver looks at from inside.
#pragma once

#include <vector>

#include "app/training/training_observer.h"

namespace ampersand {

class InspectedSteps : public TrainingObserver {
 public:
  using TrainingObserver::TrainingObserver;
  ~InspectedSteps() override;

  bool takes_step() const override;
  amp::StepReport step(Passes& passes) override;
  bool seen_enough() const { return seen_enough_; }

 private:
  std::vector<at::Tensor> gradients_in_fp32(Passes& passes);

  bool seen_enough_ = false;
};

}  // namespace ampersand
