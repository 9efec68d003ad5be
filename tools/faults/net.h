// A small model to put a fault in: blocks of one family, a head and a loss, each of which may be replaced.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tools/faults/case.h"

namespace amp::faults {

// What a part of the model knows beside its input. batch: the inputs, the micro-batch's index [batch]
// as int64, more inputs of the kind's own, the targets.
struct Moment {
  const std::vector<at::Tensor>& batch;
  std::int64_t index;  // of the micro-batch, from 0
  bool training;

  const at::Tensor& extra(std::size_t i = 0) const { return batch[2 + i]; }
  const at::Tensor& targets() const { return batch.back(); }
};

// A module that computes what it was given as a function.
class Part : public torch::nn::Module {
 public:
  using Compute = std::function<at::Tensor(Part& self, const at::Tensor& x, const Moment& now)>;
  explicit Part(Compute compute) : compute_(std::move(compute)) {}
  at::Tensor forward(const at::Tensor& x, const Moment& now);
  // One of its own parameters, buffers or linear layers.
  at::Tensor tensor(const std::string& name) const;
  at::Tensor linear(const std::string& name, const at::Tensor& x) const;

 private:
  Compute compute_;
};

// The values of an attention: q, k, v [batch, length, width].
using Attend = std::function<at::Tensor(const at::Tensor& q, const at::Tensor& k,
                                        const at::Tensor& v, const Moment& now)>;

class Net;

struct Blueprint {
  std::string family = "mlp";  // mlp, cnn, attention or recurrent
  std::int64_t blocks = 2, width = 16, batch = 16, outputs = 5;
  std::int64_t features = 12, length = 6;  // of an input; a cnn's is 6 x 6
  std::string activation = "relu";         // relu, gelu, tanh, sigmoid or none
  bool norm = false;                       // layer norm at the entry of each block
  bool final_norm = false;                 // and before the head
  bool residual = true;
  bool values = false;  // targets are numbers, and the loss is mse_loss; else classes
  std::uint64_t seed = 0;

  std::int64_t at = 0;  // the block that has the part, at its end
  std::string part = {};
  Part::Compute compute = {};
  std::function<void(Part&)> furnish =
      {};                  // gives the part, or else the criterion, parameters and buffers
  std::string entry = {};  // a part that the inputs go through first
  Part::Compute prepare = {};
  Attend attend = {};            // in block `at` of an attention; a module "attend" of its own
  Part::Compute criterion = {};  // the loss of the head's outputs; a module "criterion"
  std::function<void(Net&)> init = {};                                            // changes weights
  std::function<void(std::vector<at::Tensor>& batch, std::int64_t i)> data = {};  // changes a batch
};

class Block : public torch::nn::Module {
 public:
  Block(const Blueprint& plan, bool has_part);
  at::Tensor forward(const at::Tensor& x, const Moment& now);

 private:
  at::Tensor computed(const at::Tensor& x, const Moment& now);
  at::Tensor recurred(const at::Tensor& x);
  at::Tensor attended(const at::Tensor& x, const Moment& now);
  const Blueprint& plan_;
  torch::nn::Linear layer_{nullptr}, recurrent_{nullptr}, q_{nullptr}, k_{nullptr}, v_{nullptr};
  torch::nn::Conv2d conv_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
  std::shared_ptr<Part> part_, attend_;
};

class Net : public Trainee {
 public:
  explicit Net(Blueprint plan);
  std::vector<at::Tensor> batch(std::int64_t i) const override;
  at::Tensor loss(const std::vector<at::Tensor>& batch) override;

  // "block2.layer.weight"
  at::Tensor weight(const std::string& name) const { return named_parameters()[name]; }
  const Blueprint& plan() const { return plan_; }

 private:
  at::Tensor outputs(const Moment& now);
  const Blueprint plan_;
  at::Tensor teacher_;
  torch::nn::Linear linear_{nullptr}, head_{nullptr};
  torch::nn::Conv2d conv_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
  std::vector<std::shared_ptr<Block>> blocks_;
  std::shared_ptr<Part> entry_, criterion_;
};

}  // namespace amp::faults
