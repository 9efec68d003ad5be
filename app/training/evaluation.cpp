// Loss and accuracy on held-out images.
#include "app/training/evaluation.h"

#include <c10/core/GradMode.h>

namespace ampersand {

Evaluation evaluate(Model& model, const ImageBatches& batches, const amp::Recipe& recipe) {
  c10::NoGradGuard no_grad;
  const auto parameters = model.parameters();
  const auto device = parameters.empty() ? c10::Device(c10::kCPU) : parameters.front().device();
  const auto autocast = recipe.autocast(device.type());
  model.train(false);
  double loss = 0;
  std::int64_t right = 0;
  for (std::int64_t i = 0; i < batches.batches(); ++i) {
    const auto batch = batches.get(i).to(device);
    const auto logits = model.forward(batch.images).to(c10::kFloat);
    loss +=
        model.loss(logits, batch.labels).item<double>() * static_cast<double>(batch.labels.size(0));
    right += logits.argmax(1).eq(batch.labels).sum().item<std::int64_t>();
  }
  model.train(true);
  const auto samples = static_cast<double>(batches.samples());
  return {loss / samples, static_cast<double>(right) / samples};
}

}  // namespace ampersand
