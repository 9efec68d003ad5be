// How far gradients are from fp32's, end to end.
#pragma once

#include <string>
#include <utility>

#include "amp/train_step.h"

namespace amp::doctor {

struct GradientError {
  double relative = 0;  // ||own - fp32|| / ||fp32|| over all parameters
  std::string worst_parameter;
  double worst = 0;  // of those that are not negligible
};
GradientError gradient_error(const NamedTensors& own, const NamedTensors& fp32);

// A buffer that moves in fp32, by a thousandth of its size at least, and by less than a fifth of that here.
// Empty: there is none.
struct Moved {
  const NamedTensors &before, &after;
};
std::string stale_buffer(const Moved& own, const Moved& fp32);

struct Vanished {
  double share =
      0;  // of the weight matrices whose gradient's size per number is below 1e-4 of the largest
  double ratio = 1;
  std::string smallest, largest;
};
Vanished vanished_parameters(const NamedTensors& gradients);

}  // namespace amp::doctor
