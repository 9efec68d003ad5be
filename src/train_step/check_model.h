// What a model and an optimizer must be for a recipe, and what the recipe means for a scaler.
#pragma once

#include <torch/optim/optimizer.h>

#include <string>
#include <vector>

#include "amp/recipe.h"
#include "src/train_step/model_tensors.h"

namespace amp::train_step {

// The one device of the parameters that are trained. Throws InvalidArgument, beginning with `who`,
// for a parameter of a dtype that the recipe cannot train or on another device, and for a model
// without any.
c10::Device checked_device(const char* who, const std::vector<ModelTensor>& model,
                           const Recipe& recipe);

// Throws InvalidArgument by name for a complex parameter in the optimizer's groups that is trained.
void check_parameters(const char* who, const torch::optim::Optimizer& optimizer);

// Throws InvalidArgument for loss scaling of an fp16 model without masters: unscaled, its fp16
// gradients would be flushed to zero, and a stock optimizer takes no others for fp16 weights.
void check_scaling(const char* who, const Recipe& recipe, const torch::optim::Optimizer& optimizer);

// A fixed scale is a dynamic one between two rails that leave it no room; overflows are still
// counted.
GradScalerOptions scaler_options(const Recipe& recipe);

}  // namespace amp::train_step
