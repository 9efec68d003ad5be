// Finding the data set that `--data` names.
#pragma once

#include <cstdint>
#include <string>

#include "tasks/images/image_set.h"

namespace ampersand {

// fashion-mnist, cifar-10, or a folder of IDX or CIFAR files; of each half the first N images (0:
// all), and the hashes of the whole halves. Throws amp::IoError for what cannot be read, and for training images that are all of one
// value.
ImageData load_data(const std::string& name, std::int64_t train_samples, std::int64_t test_samples);

}  // namespace ampersand
