// The optimizer of a drawn training.
#pragma once

#include <torch/nn/module.h>

#include <memory>

#include "amp/optim.h"
#include "tools/faults/case.h"

namespace amp::faults {

inline std::unique_ptr<torch::optim::Optimizer> optimizer_of(const Case& training,
                                                             const torch::nn::Module& model) {
  if (training.optimizer == "adamw")
    return std::make_unique<optim::AdamW>(model.parameters(),
                                          optim::AdamWOptions{.lr = training.learning_rate});
  return std::make_unique<optim::SGD>(model.parameters(),
                                      optim::SGDOptions{.lr = training.learning_rate});
}

}  // namespace amp::faults
