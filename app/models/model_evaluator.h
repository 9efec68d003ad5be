// Running a model as an evaluation does.
#pragma once

#include <c10/core/GradMode.h>

#include "amp/autocast.h"
#include "amp/task.h"
#include "app/models/model.h"

namespace ampersand {

// Puts the model in eval mode and enters the recipe's autocast, without gradients; in train mode again when it ends.
class ModelEvaluator : public amp::Evaluator {
 public:
  ModelEvaluator(Model& model, const amp::Recipe& recipe);
  ~ModelEvaluator() override;
  ModelEvaluator(const ModelEvaluator&) = delete;
  ModelEvaluator& operator=(const ModelEvaluator&) = delete;

  const amp::Recipe& recipe() const override { return recipe_; }
  c10::Device device() const override { return device_; }
  at::Tensor forward(const std::vector<at::Tensor>& inputs) override;
  void check_interruption() const override;  // throws Interrupted
  void for_each(const amp::Batches& batches, const Visit& visit) override;

 private:
  Model& model_;
  amp::Recipe recipe_;
  c10::Device device_;
  c10::NoGradGuard no_grad_;
  amp::Autocast autocast_;
};

}  // namespace ampersand
