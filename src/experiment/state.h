// What a training is made of at one moment, and putting another moment in its place for a while.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amp/grad_scaler.h"
#include "amp/train_step.h"
#include "src/train_step/model_tensors.h"

namespace amp::experiment {

// The training that is played on. Refers to the model and the TrainStep.
struct Subject {
  train_step::Model model;
  // Each module's mode, and setting it.
  std::function<std::vector<bool>()> modes;
  std::function<void(const std::vector<bool>&)> set_modes;
  // With its policy bound to the model. Throws InvalidArgument for a rule of none of its modules.
  std::function<Recipe(const Recipe&)> bind;
  TrainStep* train_step = nullptr;
  std::function<bool()> is_cancelled = {};  // may be empty
  // The dtypes in which the training draws random numbers, by the places of the calls in a forward pass.
  std::vector<std::pair<std::int64_t, c10::ScalarType>> drawn = {};
  c10::ScalarType own_low = c10::ScalarType::Undefined;  // in which the model computes by itself
};
Subject subject_of(torch::nn::Module& model, TrainStep& train_step);
Subject subject_of(torch::jit::Module& model, TrainStep& train_step);

// A parameter or buffer of the model, and what the optimizer steps in its place: the fp32 master in
// an O2 model, and otherwise the parameter itself.
struct Weight {
  std::string name;
  at::Tensor own, full;
  bool is_parameter = false;
};
// Each tensor once.
std::vector<Weight> weights_of(const Subject& subject);

struct Generators {
  std::vector<std::pair<c10::Device, at::Tensor>> states;
};
Generators generators_of(c10::Device device);
void put(const Generators& generators);

// Copies of everything, on the tensors' devices.
struct State {
  std::vector<at::Tensor> own,
      full;               // in the order of weights_of; full is undefined where it is own
  std::string optimizer;  // as Optimizer::save writes it
  std::vector<bool> modes;
  std::optional<GradScalerState> scaler;
  double scale = 1;
  Generators generators;

  std::int64_t bytes() const;
};
State state_of(const Subject& subject);
void load_optimizer(torch::optim::Optimizer& optimizer, const std::string& bytes);

// Puts a state into the training, if asked with its weights in another dtype. At its end it puts
// back bit for bit what was there: the tensors' own memory is set aside in the meantime.
class Borrowed {
 public:
  // dtype: the dtype of floating-point weights, which are then taken from the masters. Empty: they
  // stay as they are.
  Borrowed(const Subject& subject, const State& state, std::optional<c10::ScalarType> dtype,
           bool with_optimizer);
  ~Borrowed();
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

  const std::vector<Weight>& weights() const { return weights_; }
  torch::optim::Optimizer& optimizer() const;

 private:
  struct Aside {
    at::Tensor own, full, own_gradient, full_gradient;
  };
  void begin_optimizer(const State& state, bool converted);
  void put_back() noexcept;

  const Subject& subject_;
  std::vector<Weight> weights_;
  std::vector<Aside> aside_;
  std::vector<bool> modes_;
  Generators generators_;
  std::string optimizer_;
  std::unique_ptr<torch::optim::Optimizer> stock_;  // in the place of the training's
  bool with_optimizer_;
};

}  // namespace amp::experiment
