// A model kept in low precision, and the fp32 masters that the optimizer works on.
#pragma once

#include <torch/optim/optimizer.h>

#include <unordered_map>
#include <vector>

#include "amp/recipe.h"
#include "src/train_step/model_tensors.h"

namespace amp::train_step {

// Apex's O2 and O3, step by step: the model's floating-point tensors become recipe.model_dtype
// (batch norm per keep_batchnorm_fp32); with master_weights the fp32 values from before the cast
// take the parameters' places in the optimizers' groups, and their state if there is any. With a
// model_dtype of Float nothing happens, here and in any call.
//
// Source: apex.amp.initialize with opt_level O2 and O3 (apex/amp/_initialize.py,
// _process_optimizer.py).
class MasterWeights {
 public:
  MasterWeights(std::vector<ModelTensor> model,
                const std::vector<torch::optim::Optimizer*>& optimizers, const Recipe& recipe);

  // Adds the model's gradients to those of this optimizer's masters, in fp32 and scaled as they
  // are, and clears them. After each backward pass.
  void take_gradients(const torch::optim::Optimizer& optimizer);

  // Clears the model's gradients without adding them: after a backward pass that failed.
  void discard_gradients(const torch::optim::Optimizer& optimizer);

  // Rounds this optimizer's masters into the model. After each step that ran. Does not wait for the
  // device.
  void write_back(const torch::optim::Optimizer& optimizer);

  // All tensors of the model, parameters as their masters where they have one.
  std::vector<ModelTensor> values() const;

 private:
  struct Pair {
    at::Tensor model, master;
    const torch::optim::Optimizer* owner = nullptr;  // the first that holds it
  };
  void convert(const Recipe& recipe);
  void move_into(torch::optim::Optimizer& optimizer);

  std::vector<ModelTensor> tensors_;
  std::vector<Pair> pairs_;
};

}  // namespace amp::train_step
