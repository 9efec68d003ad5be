// TorchScript models.
#pragma once

#include <filesystem>
#include <memory>

#include "app/models/model.h"

namespace ampersand {

// Throws amp::IoError, saying what it is, for a file that is seen to be no TorchScript model without
// running it.
void check_script_file(const std::filesystem::path& file);

// Loads a file that torch.jit.save wrote, with its weights: tied ones are one tensor, and those of
// another floating-point dtype become fp32, which is said on standard error. A method `loss(outputs, targets)` of
// the model, if it has one, is its loss. Throws amp::IoError for a file that is no TorchScript
// model. Loading and running it is running a program: it can read and write files.
std::unique_ptr<Model> load_script_model(const std::filesystem::path& file);

}  // namespace ampersand
