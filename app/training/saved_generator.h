// LibTorch's random numbers as they were.
#pragma once

#include <ATen/core/Generator.h>

namespace ampersand {

// Puts the state of the default generators, of the CPU and of `device`, back when it goes.
class SavedGenerator {
 public:
  explicit SavedGenerator(c10::Device device);
  ~SavedGenerator();
  SavedGenerator(const SavedGenerator&) = delete;
  SavedGenerator& operator=(const SavedGenerator&) = delete;

 private:
  at::Generator own_[2];
  at::Generator saved_[2];
};

}  // namespace ampersand
