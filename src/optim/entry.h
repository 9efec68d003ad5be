// A parameter of an optimizer, and its gradient in a step.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/DimVector.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "src/optim/parameter_state.h"
#include "src/optim/weight_copies.h"

namespace amp::optim {

struct Slot {
  at::Tensor parameter;
  std::size_t group, index;
  std::uint32_t number;   // counted through all groups, for the random roundings
  ParameterState* state;  // null before the first step
  c10::ScalarType dtype;  // set_data can change these of a parameter that is known
  c10::DimVector strides;
  weight_copies::Ownership ownership;  // of an fp32 parameter
};

struct Entry {
  Slot* slot;
  at::Tensor gradient;  // the parameter's `.grad`
  bool give_back;       // `.grad` is to hold the gradient that was used
};

// "parameter 3 in group 0 (shape [2, 3], Float)"
std::string named(const at::Tensor& parameter, std::size_t group, std::size_t index);

}  // namespace amp::optim
