// An optimizer's options and state in LibTorch's archives.
#pragma once

#include "src/optim/archive.h"
#include "src/optim/check_parameters.h"

namespace amp::optim {

// Writes by name: "optimizer", "format", and for each group its options and its parameters, each
// with its shape and dtype and, after a step, its state.
void save_state(const Algorithm& algorithm, const Groups& groups, const States& states,
                OutputArchive& archive);

// Throws InvalidArgument for what does not fit, by name; then nothing is changed.
void load_state(const Algorithm& algorithm, Groups& groups, States& states, InputArchive& archive);

}  // namespace amp::optim
