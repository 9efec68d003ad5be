// Saving a training along the way and at its end.
#pragma once

#include <cstdint>

#include "app/training/training_observer.h"

namespace ampersand {

class Checkpoints : public TrainingObserver {
 public:
  explicit Checkpoints(Run& run)
      : TrainingObserver(run), saved_at_(run.plan.resume.has_value() ? run.step : -1) {}
  void save_the_start();  // where checkpoints are asked for along the way
  void after_micro_batch() override;
  // Saves, unless this step is saved already.
  void complete();
  // Saves what was done before a step that threw, which changed no weight. What the model threw is
  // what is told, so a failure to save says nothing.
  void save_what_was_done();

 private:
  bool is_due() const;
  void save();

  std::int64_t saved_at_;  // the step of the last checkpoint
};

}  // namespace ampersand
