// How well a model does on held-out data.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "app/models/model.h"
#include "app/tasks/batches.h"

namespace ampersand {

struct Evaluation {
  double loss = 0;                      // mean over samples, or over tokens
  std::optional<double> accuracy = {};  // share that is right
  // Of text: exp(loss), and bits for each byte of UTF-8.
  std::optional<double> perplexity = {}, bits_per_byte = {};
};

// test_loss, test_accuracy, perplexity and bits_per_byte, those there are; names begin with `prefix`.
nlohmann::json evaluation_json(const Evaluation& evaluation, const std::string& prefix = "");

// Calls visit(outputs in fp32, batch, loss) for each batch. Computes on the model's device under the
// recipe's autocast, without gradients, in eval mode; leaves the model in train mode. Throws Interrupted.
using VisitOutputs =
    std::function<void(const at::Tensor& outputs, const Batch& batch, double loss)>;
void for_each_output(Model& model, const Batches& batches, const amp::Recipe& recipe,
                     const VisitOutputs& visit);

// Loss and accuracy of logits [batch, classes] and labels [batch].
Evaluation evaluate_classes(Model& model, const Batches& batches, const amp::Recipe& recipe);

// Loss and perplexity of logits [batch, time, vocabulary] and tokens [batch, time]; targets of -100 do
// not count. bytes: what all targets stand for; 0: unknown.
Evaluation evaluate_tokens(Model& model, const Batches& batches, const amp::Recipe& recipe,
                           std::int64_t bytes);

}  // namespace ampersand
