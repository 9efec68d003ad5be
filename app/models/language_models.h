// The built-in models of text by name: gpt and lstm, in the sizes that options ask for.
#pragma once

#include <string>

#include "amp/model_registry.h"
#include "app/models/model_sizes.h"

namespace ampersand {

// Whether `name` is gpt or lstm, which learn from text alone.
bool is_language_model(const std::string& name);

// A fresh gpt or lstm for shape.vocabulary and shape.context; sizes that are 0 are the model's own.
// Throws amp::InvalidArgument for a shape of images, for sizes that the model does not have or that
// do not go together.
amp::RegisteredModel make_language_model(const std::string& name, const amp::ModelShape& shape,
                                         const ModelSizes& sizes);

}  // namespace ampersand
