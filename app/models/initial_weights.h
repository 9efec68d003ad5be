// Weights to begin a training with, out of a file.
#pragma once

#include <filesystem>

#include "app/models/model.h"

namespace ampersand {

// Puts the file's tensors into the model: what `ampersand export` wrote, or weights in another layout that
// the model knows. Throws amp::IoError for a file that is no safetensors, and amp::InvalidArgument for weights
// of another model.
void load_initial_weights(Model& model, const std::filesystem::path& file);

}  // namespace ampersand
