// The built-in models of text by name: gpt and lstm, in the sizes that options ask for.
#pragma once

#include <string>

#include "amp/model_registry.h"
#include "tasks/common/task_settings.h"

namespace ampersand {

// A fresh gpt or lstm for shape.vocabulary and shape.context; sizes that are 0 are the model's own.
// Throws amp::InvalidArgument for sizes that the model does not have or that do not go together.
amp::TaskModel make_language_model(const std::string& name, const amp::ModelShape& shape,
                                   const ModelSizes& sizes);

}  // namespace ampersand
