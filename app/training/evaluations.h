// Testing the model along the way and at the end, and what it makes after training.
#pragma once

#include <cstdint>

#include "app/training/training_observer.h"

namespace ampersand {

class Evaluations : public TrainingObserver {
 public:
  explicit Evaluations(Run& run) : TrainingObserver(run), evaluated_at_(run.step) {}
  void after_micro_batch() override;
  // Evaluates the last weights, if that is not done yet.
  void complete();
  // Shows what a trained model of text, translations or speech makes.
  void show_samples();

 private:
  bool is_due() const;
  void evaluate_unless_interrupted();
  amp::Evaluation evaluation();
  void evaluate();

  std::int64_t evaluated_at_;  // the step of the last evaluation
};

}  // namespace ampersand
