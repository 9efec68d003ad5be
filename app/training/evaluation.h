// Loss and accuracy on held-out images.
#pragma once

#include <c10/core/ScalarType.h>

#include "app/models/model.h"
#include "app/training/batches.h"

namespace ampersand {

struct Evaluation {
  double loss = 0;      // mean cross entropy
  double accuracy = 0;  // share of images whose largest logit is the label's
};

// Computes on the model's device under the recipe's autocast, without gradients, in eval mode; leaves
// the model in train mode.
Evaluation evaluate(Model& model, const ImageBatches& batches, const amp::Recipe& recipe);

}  // namespace ampersand
