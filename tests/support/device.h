// The device that the tests' tensors are on: the CPU, or what AMP_TEST_DEVICE says ("cuda").
#pragma once

#include <c10/core/Device.h>

#include <cstdlib>

namespace amp::tests {

inline c10::Device test_device() {
  static const auto device = [] {
    const char* wanted = std::getenv("AMP_TEST_DEVICE");
    return c10::Device(wanted == nullptr ? "cpu" : wanted);
  }();
  return device;
}

}  // namespace amp::tests
