// An exponential moving average of the weights, which often tests better than the last ones.
#pragma once

#include "amp/train_step.h"

namespace ampersand {

// average = decay average + (1 - decay) weights, in fp32, after each step that ran; statistics of
// batch norm likewise, integers are copied. Source: Polyak and Juditsky (1992).
class Ema {
 public:
  Ema(amp::TrainStep& train_step, double decay);  // begins with the weights as they are

  void update();
  const amp::NamedTensors& average() const { return average_; }
  void load(const amp::NamedTensors& saved);

 private:
  amp::TrainStep& train_step_;
  double decay_;
  amp::NamedTensors average_;
};

// For its life the model has other weights: those of an average, to evaluate it.
class BorrowedWeights {
 public:
  BorrowedWeights(amp::TrainStep& train_step, const amp::NamedTensors& weights);
  ~BorrowedWeights();
  BorrowedWeights(const BorrowedWeights&) = delete;
  BorrowedWeights& operator=(const BorrowedWeights&) = delete;

 private:
  amp::TrainStep& train_step_;
  amp::NamedTensors own_;
};

}  // namespace ampersand
