// What every built-in model does with the sizes that options ask for.
#pragma once

#include <cstdint>
#include <string>

#include "amp/error.h"

namespace ampersand {

// 0: the model's own.
inline void take_size(std::int64_t& field, std::int64_t given) {
  if (given != 0) field = given;
}

// Throws amp::InvalidArgument if it was given; model: the one that has the option.
inline void refuse_size(bool given, const char* option, const char* model) {
  if (!given) return;
  throw amp::InvalidArgument(std::string(option) + " is an option of --model " + model +
                             "; leave it out");
}

}  // namespace ampersand
