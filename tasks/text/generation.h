// Continuing a text token by token.
#pragma once

#include <cstdint>
#include <vector>

#include "amp/task.h"

namespace ampersand {

// The how.tokens tokens that the model adds to `prompt` (not empty), each drawn from the softmax of
// its logits divided by the temperature. The model sees the last `context` tokens. Computes on the
// model's device under the recipe's autocast and waits for each token; the draw is made on the CPU and
// depends on how.seed and the logits alone. `model` in eval mode.
//
// Throws amp::InvalidArgument for tokens below 1, a temperature that is negative or not finite, a
// negative top_k, and amp::NumericalError for logits that are not finite.
std::vector<std::int64_t> generate(amp::Evaluator& model, std::vector<std::int64_t> prompt,
                                   std::int64_t context, const amp::Continuation& how);

}  // namespace ampersand
