// What the program trains: a registered C++ model, one of a plug-in, or a TorchScript file.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <memory>
#include <string>
#include <vector>

#include "amp/model_registry.h"
#include "amp/train_step.h"

namespace ampersand {

class Model {
 public:
  virtual ~Model() = default;

  // Images [batch, channels, height, width] to logits [batch, classes].
  virtual at::Tensor forward(const at::Tensor& images) = 0;
  // The model's own loss, or the mean cross entropy of the logits in fp32.
  virtual at::Tensor loss(const at::Tensor& logits, const at::Tensor& labels);

  virtual std::vector<at::Tensor> parameters() const = 0;
  virtual std::vector<at::Tensor> buffers() const = 0;
  virtual void train(bool on) = 0;
  virtual void to(c10::Device device) = 0;
  // Copies weights by name. Throws amp::InvalidArgument for those of another model.
  virtual void load(const amp::NamedTensors& weights) = 0;
  virtual std::unique_ptr<amp::TrainStep> train_step(torch::optim::Optimizer& optimizer,
                                                     const amp::Recipe& recipe) = 0;
};

// Throws amp::InvalidArgument for a name that is neither a file's nor a built-in model's.
void check_model_name(const std::string& what);

// Makes a model with fresh weights from LibTorch's generator; a TorchScript model comes with its
// own. what: a built-in name; LIBRARY.so, which is loaded and must register one model, or
// LIBRARY.so:NAME for one of several; or FILE.pt. Loading either runs what is in it.
//
// Throws amp::InvalidArgument for an unknown name or a shape the model cannot take, and
// amp::IoError for a file that is no plug-in or no TorchScript model.
std::unique_ptr<Model> make_model(const std::string& what, const amp::ModelShape& shape);

// Runs two blank images through the model. Throws amp::InvalidArgument, with both shapes, when it
// fails or returns anything but [2, classes] floating-point logits, and for a model without
// parameters to train.
void check_model(Model& model, const std::string& what, const amp::ModelShape& shape);

// A model that comes out of a file, or names one: its path is kept whole, so that it is found again
// from another folder.
std::string absolute_model(const std::string& what);

}  // namespace ampersand
