// The optimizer of a drawn training.
#pragma once

#include <torch/nn/module.h>

#include <memory>

#include "amp/optim.h"
#include "tools/faults/case.h"

namespace amp::faults {

// bf16 weights without masters are rounded to the nearest, as torch.optim does.
inline std::unique_ptr<torch::optim::Optimizer> optimizer_of(const Case& training,
                                                             const torch::nn::Module& model) {
  optim::MemoryOptions memory;
  if (training.precision == "bf16-weights") memory.weights = optim::LowPrecisionWeights::nearest;
  if (training.optimizer == "adamw")
    return std::make_unique<optim::AdamW>(
        model.parameters(),
        optim::AdamWOptions{
            .lr = training.learning_rate, .weight_decay = training.weight_decay, .memory = memory});
  return std::make_unique<optim::SGD>(
      model.parameters(),
      optim::SGDOptions{
          .lr = training.learning_rate, .weight_decay = training.weight_decay, .memory = memory});
}

}  // namespace amp::faults
