// Classes and indices that an op cannot take.
#pragma once

#include <ATen/core/ivalue.h>

#include <optional>
#include <string>
#include <vector>

namespace amp::inspect {

struct WrongTarget {
  double value = 0;
  std::string text;  // "class 12 of 10"
};

// Checks a loss over classes or an embedding by the op's name and arguments, before it runs.
std::optional<WrongTarget> target_out_of_range(const std::string& op,
                                               const std::vector<c10::IValue>& arguments);

}  // namespace amp::inspect
