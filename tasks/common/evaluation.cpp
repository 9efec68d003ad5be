// How well a model of tokens does on held-out data.
#include "tasks/common/evaluation.h"

#include <cmath>
#include <numbers>

namespace ampersand {

amp::Evaluation evaluate_tokens(amp::Evaluator& model, const Batches& batches, std::int64_t bytes) {
  double nats = 0, tokens = 0;
  model.for_each(batches, [&](const auto&, const Batch& batch, double mean) {
    const auto counted = batch.targets.at(0).ne(-100).sum().template item<double>();
    nats += mean * counted;
    tokens += counted;
  });
  amp::Evaluation result{.loss = nats / tokens};
  result.measures[amp::perplexity_measure().key] = std::exp(nats / tokens);
  if (bytes > 0)
    result.measures[amp::bits_per_byte_measure().key] =
        nats / std::numbers::ln2 / static_cast<double>(bytes);
  return result;
}

}  // namespace ampersand
