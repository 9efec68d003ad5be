// Running a model as an evaluation does.
#include "app/models/model_evaluator.h"

#include "app/files/mappings.h"
#include "app/terminal/interrupt.h"

namespace ampersand {
namespace {

c10::Device device_of(const Model& model) {
  const auto parameters = model.parameters();
  return parameters.empty() ? c10::Device(c10::kCPU) : parameters.front().device();
}

}  // namespace

ModelEvaluator::ModelEvaluator(Model& model, const amp::Recipe& recipe)
    : model_(model),
      recipe_(recipe),
      device_(device_of(model)),
      autocast_(model.with_names(recipe).autocast(device_.type())) {
  model_.train(false);
}

ModelEvaluator::~ModelEvaluator() { model_.train(true); }

void ModelEvaluator::check_interruption() const { stop_if_interrupted(); }

at::Tensor ModelEvaluator::forward(const std::vector<at::Tensor>& inputs) {
  check_interruption();
  return model_.forward(amp::Batch{inputs, {}}.to(device_).inputs);
}

void ModelEvaluator::for_each(const amp::Batches& batches, const Visit& visit) {
  for (std::int64_t i = 0; i < batches.batches(); ++i) {
    check_interruption();
    const auto batch =
        (batches.needs_model() ? batches.make(i, *this) : batches.get(i)).to(device_);
    check_mappings();
    const auto outputs = model_.forward(batch.inputs).to(c10::kFloat);
    visit(outputs, batch, model_.loss(outputs, batch.targets).item<double>());
  }
}

}  // namespace ampersand
