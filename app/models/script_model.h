// TorchScript models.
#pragma once

#include <filesystem>
#include <memory>

#include "app/models/model.h"

namespace ampersand {

// Loads a file that torch.jit.save wrote, with its weights. A method `loss(outputs, targets)` of
// the model, if it has one, is its loss. Throws amp::IoError for a file that is no TorchScript
// model. Loading and running it is running a program: it can read and write files.
std::unique_ptr<Model> load_script_model(const std::filesystem::path& file);

}  // namespace ampersand
