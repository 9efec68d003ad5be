// Where the memory of a training goes.
#include "app/training/step_memory.h"

#include <ATen/record_function.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>

#include "amp/optim.h"

namespace ampersand {
namespace {

std::int64_t bytes(const at::Tensor& tensor) { return static_cast<std::int64_t>(tensor.nbytes()); }

// Counts the bytes of the gradients that this thread's backward passes hand to leaves, while it lives. A hook
// on the parameters would make each gradient fp32, which is what hooks expect.
class GradientBytes {
 public:
  explicit GradientBytes(std::int64_t& sum) {
    sum_ = &sum;
    handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(&GradientBytes::seen)
                                             .needsInputs(true)
                                             .scopes({at::RecordScope::BACKWARD_FUNCTION}));
  }
  ~GradientBytes() { at::removeCallback(handle_); }
  GradientBytes(const GradientBytes&) = delete;
  GradientBytes& operator=(const GradientBytes&) = delete;

 private:
  static std::unique_ptr<at::ObserverContext> seen(const at::RecordFunction& call) {
    if (std::string_view(call.name()) != "torch::autograd::AccumulateGrad") return nullptr;
    for (const auto& input : call.inputs()) {
      if (input.isTensor() && input.toTensor().defined()) *sum_ += bytes(input.toTensor());
    }
    return nullptr;
  }

  static inline thread_local std::int64_t* sum_ = nullptr;
  at::CallbackHandle handle_;
};

}  // namespace

void StepMemory::know(const Model& model, const amp::TrainStep& train_step,
                      std::int64_t average_bytes) {
  weights_ = masters_ = 0;
  average_ = average_bytes;
  std::unordered_set<const void*> own;
  for (const auto& list : {model.parameters(), model.buffers()}) {
    for (const auto& tensor : list) {
      if (own.insert(tensor.const_data_ptr()).second) weights_ += bytes(tensor);
    }
  }
  for (const auto& [name, tensor] : train_step.weights()) {
    if (own.insert(tensor.const_data_ptr()).second) masters_ += bytes(tensor);
  }
}

amp::StepReport StepMemory::count(
    const Model& model,
    const std::function<amp::StepReport(const std::function<void()>& after_forward)>& step) {
  MemoryCensus census(watch_, model.parameters());
  const GradientBytes gradients(gradients_);
  const auto report = step([&] { after_forward_ = census.live(); });
  counted_ = true;
  return report;
}

nlohmann::json StepMemory::event(const torch::optim::Optimizer& optimizer) const {
  const auto* fused = dynamic_cast<const amp::optim::FusedOptimizer*>(&optimizer);
  const auto copies = fused == nullptr ? 0 : fused->copy_bytes();
  return {{"event", "memory"},
          {"weights", weights_},
          {"copies", after_forward_.copies + copies},
          {"masters", masters_},
          {"gradients", gradients_},
          {"optimizer", watch_.live_bytes() - data_ - weights_ - masters_ - average_ - copies},
          {"activations", after_forward_.floating},
          {"integers", after_forward_.integer},
          {"other", after_forward_.other + average_}};
}

}  // namespace ampersand
