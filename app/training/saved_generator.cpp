// LibTorch's random numbers as they were.
#include "app/training/saved_generator.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/core/Tensor.h>

namespace ampersand {

SavedGenerator::SavedGenerator(c10::Device device) {
  own_[0] = at::detail::getDefaultCPUGenerator();
  if (!device.is_cpu()) own_[1] = at::globalContext().defaultGenerator(device);
  for (int i = 0; i < 2; ++i) {
    if (own_[i].defined()) saved_[i] = own_[i].clone();
  }
}

SavedGenerator::~SavedGenerator() {
  for (int i = 0; i < 2; ++i) {
    if (own_[i].defined()) own_[i].set_state(saved_[i].get_state());
  }
}

}  // namespace ampersand
