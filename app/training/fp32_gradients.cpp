// What a micro-batch's gradients are where nothing is rounded.
#include "app/training/fp32_gradients.h"

#include <torch/csrc/autograd/autograd.h>

#include <cstddef>

#include "app/training/saved_generator.h"

namespace ampersand {
namespace {

// Buffers as they were: batch norm's statistics, which a forward pass changes.
class SavedBuffers {
 public:
  explicit SavedBuffers(const Model& model) : buffers_(model.buffers()) {
    for (const auto& buffer : buffers_) values_.push_back(buffer.detach().clone());
  }
  ~SavedBuffers() {
    for (std::size_t i = 0; i < buffers_.size(); ++i) buffers_[i].detach().copy_(values_[i]);
  }
  SavedBuffers(const SavedBuffers&) = delete;
  SavedBuffers& operator=(const SavedBuffers&) = delete;

 private:
  std::vector<at::Tensor> buffers_, values_;
};

}  // namespace

std::vector<at::Tensor> fp32_gradients(Model& model, c10::Device device,
                                       const std::function<at::Tensor()>& loss) {
  const SavedGenerator generator(device);
  const SavedBuffers buffers(model);
  std::vector<at::Tensor> trained;
  for (const auto& parameter : model.parameters()) {
    if (parameter.requires_grad()) trained.push_back(parameter);
  }
  const auto found = torch::autograd::grad({loss()}, trained, {}, std::nullopt, false, true);
  std::vector<at::Tensor> gradients;
  std::size_t next = 0;
  for (const auto& parameter : model.parameters())
    gradients.push_back(parameter.requires_grad() ? found[next++] : at::Tensor());
  return gradients;
}

}  // namespace ampersand
