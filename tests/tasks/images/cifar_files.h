// CIFAR-10's binary files made by hand.
#pragma once

#include <string>

#include "tests/tasks/images/idx_files.h"

namespace ampersand::tests {

// One record: a label, and planes of one value each.
inline Bytes cifar_record(std::uint8_t label, std::uint8_t red, std::uint8_t green,
                          std::uint8_t blue) {
  Bytes bytes = {label};
  for (const std::uint8_t value : {red, green, blue}) bytes.insert(bytes.end(), 1024, value);
  return bytes;
}

// Training files 1 to `files` of one record each, with the labels 1, 2, ..., and a test file of two
// records with the labels 8 and 9.
inline void write_cifar(const TemporaryFolder& folder, int files) {
  for (int i = 1; i <= files; ++i) {
    const auto label = static_cast<std::uint8_t>(i);
    folder.write("data_batch_" + std::to_string(i) + ".bin", cifar_record(label, label, 0, 0));
  }
  folder.write("test_batch.bin", joined(cifar_record(8, 1, 2, 3), cifar_record(9, 4, 5, 6)));
}

}  // namespace ampersand::tests
