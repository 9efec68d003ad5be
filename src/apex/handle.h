// What an ApexHandle holds.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amp/apex.h"
#include "amp/autocast.h"
#include "src/grad_scaler/loss_scale.h"
#include "src/train_step/master_weights.h"

namespace amp {

namespace apex {

using Gradients = std::vector<at::Tensor>;  // one for each parameter; undefined: none

struct OptimizerRecord {
  torch::optim::Optimizer* optimizer = nullptr;
  bool in_scope = false;
  // What delay_unscale leaves: for which loss the gradients are scaled, by how much, and what they
  // will be added to.
  std::optional<std::int64_t> scaled_for;
  float scaled_by = 1;
  Gradients unscaled_part;
  std::string overflow;  // why the next step will be skipped; empty: it will not

  void check_idle() const;  // StateError in a scope, or while its gradients are scaled
};

struct Loss {
  scaling::LossScale scale;
  scaling::Rule rule;
};

using Regions = std::vector<std::unique_ptr<Autocast>>;

}  // namespace apex

struct ApexHandle::Impl {
  Recipe recipe;
  std::vector<c10::DeviceType> devices;
  std::vector<train_step::Model> models;
  train_step::MasterWeights masters;  // of all models, one after the other
  std::vector<apex::OptimizerRecord> optimizers;
  std::vector<apex::Loss> losses;
  apex::Regions autocast;

  bool scales() const { return recipe.loss_scaling != LossScaling::none; }
  apex::OptimizerRecord& record_of(const torch::optim::Optimizer& optimizer);
  apex::Loss& loss(std::int64_t loss_id);
  apex::Regions without_autocast() const;  // regions in which it is off
  void check_idle() const;                 // of every optimizer
};

struct ScaledLoss::Impl {
  ApexHandle::Impl* handle;
  ScaleLossOptions options;
  std::vector<apex::OptimizerRecord*> optimizers;
  std::vector<apex::Gradients> before;  // of each optimizer, taken out for the time of the scope
  at::Tensor loss;
  apex::Regions autocast_off;
  int exceptions = 0;  // on their way when the scope began
  bool open = true;

  void take_out();
  void close();
  void abandon();

 private:
  void gather();
  void unscale();
  void skip(apex::OptimizerRecord& record, float scale) const;
  void leave();
};

}  // namespace amp
