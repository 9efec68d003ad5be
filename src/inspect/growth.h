// How much loss and weights have grown over a training.
#pragma once

#include <cstddef>

#include "amp/inspect/diagnosis.h"

namespace amp::inspect {

struct Growth {
  double loss = 1;    // the largest of the last three over the first
  double weight = 1;  // the largest |w| now over that of the first step that was recorded
  double last_loss = 0, last_weight = 0;

  // Whether they have grown so much that this explains an overflow. With a learning rate that is
  // far too large, a few steps are enough to pass from one of these numbers to the next.
  bool explains_overflow() const {
    return weight >= 10 || loss >= 10 || (weight >= 3 && loss >= 3);
  }
  // Whether they have grown so much that this is a fault by itself. A hard batch alone does not
  // cause such growth.
  bool is_divergence() const {
    return loss >= 1000 || (loss >= 10 && weight >= 3) || weight >= 1000;
  }
};

// The growth over the steps before `end`, with the weights that step `end` began with.
Growth growth_until(const Evidence& evidence, std::size_t end);

}  // namespace amp::inspect
