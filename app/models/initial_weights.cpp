// Weights to begin a training with, out of a file.
#include "app/models/initial_weights.h"

#include "amp/checkpoint.h"

namespace ampersand {

void load_initial_weights(Model& model, const std::filesystem::path& file) {
  model.load(amp::load_safetensors(file));
}

}  // namespace ampersand
