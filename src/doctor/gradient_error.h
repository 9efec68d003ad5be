// How far gradients are from fp32's, end to end.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "amp/train_step.h"

namespace amp::doctor {

struct GradientError {
  double relative = 0;  // ||own - fp32|| / ||fp32|| over all parameters
  std::string worst_parameter;
  double worst = 0;  // of those that are not negligible
};
GradientError gradient_error(const NamedTensors& own, const NamedTensors& fp32);

// A buffer among the candidates that moves in fp32 by at least a thousandth of its size, and in
// `own` by less than a fifth of that. Empty: there is none.
struct Moved {
  const NamedTensors &before, &after;
};
std::string stale_buffer(const Moved& own, const Moved& fp32,
                         const std::vector<std::string>& candidates);

// Steps in low precision compared with fp32's from the same weights.
struct Stuck {
  double lost =
      0;  // the share of the loss's fall that fp32's steps bring, to first order, and these do not
  // The parameter that moves least compared with fp32, and less than a tenth as far. Only
  // parameters count that bring at least a tenth of the fall that the best one brings.
  std::string parameter;
  bool is_fault() const { return lost >= 0.5 || !parameter.empty(); }
};
Stuck stuck_weights(const NamedTensors& own, const NamedTensors& fp32,
                    const NamedTensors& gradients);

struct Vanished {
  double share =
      0;  // of the weight matrices whose gradient's size per number is below 1e-4 of the largest
  double ratio = 1;
  std::string smallest, largest;
};
Vanished vanished_parameters(const NamedTensors& gradients);

}  // namespace amp::doctor
