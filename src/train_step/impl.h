// What a TrainStep holds, and one call of it, which happens as a whole or not at all.
#pragma once

#include <functional>
#include <unordered_set>
#include <vector>

#include "amp/optim.h"
#include "amp/train_step.h"
#include "src/train_step/backward_graph.h"
#include "src/train_step/gradient_dtypes.h"
#include "src/train_step/kept_buffers.h"
#include "src/train_step/kept_gradients.h"
#include "src/train_step/master_weights.h"
#include "src/train_step/model_tensors.h"

namespace amp {

struct TrainStep::Impl {
  Impl(train_step::Model given, torch::optim::Optimizer& stepper, const Recipe& choice);

  StepReport micro_batch(const std::function<at::Tensor()>& loss);
  StepReport flush();
  // Call it after values were loaded: a failed or skipped step must not take them back.
  void take_loaded_weights();

  torch::optim::Optimizer& optimizer;
  Recipe recipe;
  train_step::Model model;
  c10::Device device;
  GradScaler scaler;
  train_step::MasterWeights masters;
  bool has_fused_step;             // the optimizer has one (ScaledStep)
  std::int64_t micro_batches = 0;  // in the accumulation group so far

 private:
  void know_parameters();
  void begin();
  void backward(const at::Tensor& loss);
  void release_gradients();
  void roll_back(std::int64_t before);

  void complete_mean();
  StepResult run_step(at::Tensor& norm);
  StepResult run_optimizer(at::Tensor& norm);
  StepResult step_of_stock();
  void finish_group(const StepResult& result);
  void note_scale(StepReport& report) const;

  train_step::BackwardGraph graph;
  train_step::GradientDtypes gradient_dtypes;
  train_step::KeptGradients gradients;
  train_step::KeptBuffers group_buffers, micro_batch_buffers;
  std::vector<const c10::TensorImpl*> stepped;  // what the optimizer's groups hold
};

}  // namespace amp
