// What is learned: what a task does where it says nothing of its own.
#include "amp/task.h"

#include <ATen/ops/cross_entropy_loss.h>

#include <sstream>

#include "amp/error.h"

namespace amp {

Evaluator::~Evaluator() = default;
Task::~Task() = default;

TaskModel task_model(RegisteredModel model) {
  TaskModel made{model.module, [forward = std::move(model.forward)](const auto& inputs) {
                   return forward(inputs.at(0));
                 }};
  if (model.loss) {
    made.loss = [loss = std::move(model.loss)](const auto& outputs, const auto& targets) {
      return loss(outputs, targets.at(0));
    };
  }
  return made;
}

at::Tensor Task::loss(const at::Tensor& outputs, const std::vector<at::Tensor>& targets) const {
  return at::cross_entropy_loss(outputs.flatten(0, -2), targets.at(0).flatten());
}

std::vector<Measure> Task::measures() const { return {accuracy_measure()}; }

std::map<std::string, double> Task::measured(const at::Tensor& outputs, const Batch& batch) const {
  const auto right = outputs.argmax(1).eq(batch.targets.at(0)).sum();
  return {{accuracy_measure().key, static_cast<double>(right.item<std::int64_t>())}};
}

Evaluation Task::evaluate(Evaluator& model, const Batches& test) const {
  double loss = 0;
  std::map<std::string, double> sums;
  model.for_each(test, [&](const at::Tensor& outputs, const Batch& batch, double mean) {
    loss += mean * static_cast<double>(outputs.size(0));
    for (const auto& [key, sum] : measured(outputs, batch)) sums[key] += sum;
  });
  const auto samples = static_cast<double>(test.samples());
  for (auto& [key, sum] : sums) sum /= samples;
  return {loss / samples, std::move(sums)};
}

std::string Task::predictions(Evaluator& model) const {
  std::ostringstream lines;
  std::int64_t index = 0;
  const auto batches = test_batches(model.recipe().compute_dtype);
  model.for_each(*batches, [&](const at::Tensor& outputs, const Batch&, double) {
    const auto rows = outputs.reshape({outputs.size(0), -1}).cpu().contiguous();
    const auto* value = rows.const_data_ptr<float>();
    if (index == 0) {
      lines << "index";
      for (std::int64_t k = 0; k < rows.size(1); ++k) lines << ",output" << k;
      lines << '\n';
    }
    for (std::int64_t row = 0; row < rows.size(0); ++row) {
      lines << index++;
      for (std::int64_t k = 0; k < rows.size(1); ++k) lines << ',' << *value++;
      lines << '\n';
    }
  });
  return lines.str();
}

std::string Task::continued(Evaluator&, const Continuation&) const {
  throw InvalidArgument("--prompt is for models of text, and this one was trained on " + noun() +
                        "; leave it out");
}

std::vector<std::string> Task::showpieces(Evaluator&, std::uint64_t) const { return {}; }

}  // namespace amp
