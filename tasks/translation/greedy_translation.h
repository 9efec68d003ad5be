// Translating token by token, each the likeliest.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "amp/task.h"
#include "tasks/translation/pair_batches.h"

namespace ampersand {

// For each row of sources [batch, time] (int64, padded) the tokens of its translation, without begin
// and end; at most `most`. Begin and padding are never chosen. Computes on the model's device under
// the recipe's autocast and waits for each token. `model`: given sources and targets it returns logits
// of the token that follows; in eval mode. Throws amp::NumericalError for logits that are not finite.
std::vector<std::vector<std::int64_t>> translate(amp::Evaluator& model, const at::Tensor& sources,
                                                 const PairMarks& marks, std::int64_t most);

}  // namespace ampersand
