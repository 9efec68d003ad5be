// How well a model of tokens does on held-out data.
#pragma once

#include <cstdint>

#include "tasks/common/task_settings.h"

namespace ampersand {

// Loss, perplexity and, of `bytes` that all targets stand for (0: unknown), bits per byte of logits
// [batch, time, vocabulary] and tokens [batch, time]; targets of -100 do not count.
amp::Evaluation evaluate_tokens(amp::Evaluator& model, const Batches& batches, std::int64_t bytes);

}  // namespace ampersand
