// How well a model does on held-out data.
#include "app/tasks/evaluation.h"

#include <c10/core/GradMode.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "app/data/mappings.h"
#include "app/terminal/interrupt.h"

namespace ampersand {

nlohmann::json evaluation_json(const Evaluation& evaluation, const std::string& prefix) {
  nlohmann::json object = {{prefix + "test_loss", evaluation.loss}};
  const auto add = [&](const char* name, const std::optional<double>& value) {
    if (value.has_value()) object[prefix + name] = *value;
  };
  add("test_accuracy", evaluation.accuracy);
  add("perplexity", evaluation.perplexity);
  add("bits_per_byte", evaluation.bits_per_byte);
  return object;
}

namespace {

class InEvalMode {
 public:
  explicit InEvalMode(Model& model) : model_(model) { model.train(false); }
  ~InEvalMode() { model_.train(true); }
  InEvalMode(const InEvalMode&) = delete;
  InEvalMode& operator=(const InEvalMode&) = delete;

 private:
  Model& model_;
};

}  // namespace

void for_each_output(Model& model, const Batches& batches, const amp::Recipe& recipe,
                     const VisitOutputs& visit) {
  c10::NoGradGuard no_grad;
  const auto parameters = model.parameters();
  const auto device = parameters.empty() ? c10::Device(c10::kCPU) : parameters.front().device();
  const auto autocast = model.with_names(recipe).autocast(device.type());
  const InEvalMode evaluating(model);
  for (std::int64_t i = 0; i < batches.batches(); ++i) {
    stop_if_interrupted();
    const auto batch = batches.get(i).to(device);
    check_mappings();
    const auto outputs = model.forward(batch.inputs).to(c10::kFloat);
    visit(outputs, batch, model.loss(outputs, batch.targets).item<double>());
  }
}

Evaluation evaluate_classes(Model& model, const Batches& batches, const amp::Recipe& recipe) {
  double loss = 0;
  std::int64_t right = 0;
  for_each_output(model, batches, recipe, [&](const auto& logits, const Batch& batch, double mean) {
    const auto& labels = batch.targets.at(0);
    loss += mean * static_cast<double>(labels.size(0));
    right += logits.argmax(1).eq(labels).sum().template item<std::int64_t>();
  });
  const auto samples = static_cast<double>(batches.samples());
  return {.loss = loss / samples, .accuracy = static_cast<double>(right) / samples};
}

Evaluation evaluate_tokens(Model& model, const Batches& batches, const amp::Recipe& recipe,
                           std::int64_t bytes) {
  double nats = 0, tokens = 0;
  for_each_output(model, batches, recipe, [&](const auto&, const Batch& batch, double mean) {
    const auto counted = batch.targets.at(0).ne(-100).sum().template item<double>();
    nats += mean * counted;
    tokens += counted;
  });
  Evaluation result{.loss = nats / tokens, .perplexity = std::exp(nats / tokens)};
  if (bytes > 0) result.bits_per_byte = nats / std::numbers::ln2 / static_cast<double>(bytes);
  return result;
}

}  // namespace ampersand
