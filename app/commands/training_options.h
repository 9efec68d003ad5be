// The options that `train` and `compare` share.
#pragma once

#include "app/settings/settings.h"

namespace CLI {
class App;
}

namespace ampersand {

void add_training_options(CLI::App& command, Settings& settings);

// Fills settings.given.
void note_given_options(const CLI::App& command, Settings& settings);

}  // namespace ampersand
