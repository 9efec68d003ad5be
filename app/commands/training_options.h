// The options that `train` and `compare` share.
#pragma once

#include "app/data/image_set.h"
#include "app/training/settings.h"

namespace CLI {
class App;
}

namespace ampersand {

void add_training_options(CLI::App& command, Settings& settings);

// Sets threads and the CPU engine, checks everything that can be checked, and reads the data.
// Throws amp::InvalidArgument, amp::UnsupportedError or amp::IoError.
ImageData prepare(const Settings& settings);

}  // namespace ampersand
