// A Model around a torch::nn module: all but its forward.
#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <utility>
#include <vector>

#include "amp/checkpoint.h"
#include "app/models/model.h"

namespace ampersand {

template <typename Module = torch::nn::Module>
class ModuleModel : public Model {
 public:
  explicit ModuleModel(std::shared_ptr<Module> module) : module_(std::move(module)) {}

  torch::nn::Module* module() override { return module_.get(); }
  std::vector<at::Tensor> parameters() const override { return module_->parameters(); }
  std::vector<at::Tensor> buffers() const override { return module_->buffers(); }
  void train(bool on) override { module_->train(on); }
  void to(c10::Device device) override { module_->to(device); }
  void load(const amp::NamedTensors& weights) override { amp::load_weights(*module_, weights); }
  std::unique_ptr<amp::TrainStep> train_step(torch::optim::Optimizer& optimizer,
                                             const amp::Recipe& recipe) override {
    return std::make_unique<amp::TrainStep>(*module_, optimizer, recipe);
  }

 protected:
  std::shared_ptr<Module> module_;
};

}  // namespace ampersand
