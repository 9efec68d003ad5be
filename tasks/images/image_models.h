// Models of images by name.
#pragma once

#include <string>

#include "amp/model_registry.h"

namespace ampersand {

// A fresh mlp, cnn or resnet18. Throws amp::InvalidArgument for images that it cannot take.
amp::RegisteredModel make_image_model(const std::string& name, const amp::ModelShape& shape);

}  // namespace ampersand
