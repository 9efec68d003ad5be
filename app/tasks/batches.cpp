// What a training asks of data.
#include "app/tasks/batches.h"

#include <algorithm>

namespace ampersand {
namespace {

std::vector<at::Tensor> moved(const std::vector<at::Tensor>& tensors, c10::Device device) {
  std::vector<at::Tensor> there;
  for (const auto& tensor : tensors) there.push_back(tensor.to(device));
  return there;
}

}  // namespace

Batch Batch::to(c10::Device device) const {
  return {moved(inputs, device), moved(targets, device)};
}

std::int64_t Batches::samples_of(std::int64_t i) const {
  return std::min(batch_size(), samples() - i * batch_size());
}

}  // namespace ampersand
