// Copying named values into a model.
#pragma once

#include <vector>

#include "amp/train_step.h"
#include "src/train_step/model_tensors.h"

namespace amp::train_step {

// Copies each value into the tensor of its name. Throws InvalidArgument as TrainStep::load_weights
// does; then nothing is changed.
void load_weights(const std::vector<ModelTensor>& model, const NamedTensors& weights);

}  // namespace amp::train_step
