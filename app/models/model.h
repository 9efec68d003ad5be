// What the program trains: a built-in model, one of a plug-in, or a TorchScript file.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <memory>
#include <string>
#include <vector>

#include "amp/model_registry.h"
#include "amp/train_step.h"
#include "app/models/model_sizes.h"

namespace ampersand {

class Model {
 public:
  virtual ~Model() = default;

  // The inputs of a batch, as the task has them: images [batch, channels, height, width] or tokens
  // [batch, time]; logits [batch, classes] or [batch, time, vocabulary].
  virtual at::Tensor forward(const std::vector<at::Tensor>& inputs) = 0;
  // The model's own loss, or the mean cross entropy of logits [..., classes] and targets [...], int64;
  // targets of -100 do not count.
  virtual at::Tensor loss(const at::Tensor& outputs, const std::vector<at::Tensor>& targets);

  virtual std::vector<at::Tensor> parameters() const = 0;
  virtual std::vector<at::Tensor> buffers() const = 0;
  virtual void train(bool on) = 0;
  virtual void to(c10::Device device) = 0;
  // Copies weights by name. Throws amp::InvalidArgument for those of another model.
  virtual void load(const amp::NamedTensors& weights) = 0;
  // The module behind it; null for TorchScript.
  virtual torch::nn::Module* module() { return nullptr; }
  // TorchScript's; null for others.
  virtual torch::jit::Module* script_module() { return nullptr; }
  // The recipe, with its policy's rules of modules bound to this model. Throws amp::InvalidArgument for
  // one that means none of its modules.
  amp::Recipe with_names(amp::Recipe recipe);
  virtual std::unique_ptr<amp::TrainStep> train_step(torch::optim::Optimizer& optimizer,
                                                     const amp::Recipe& recipe) = 0;
};

// Whether a --model is a file's path, and no built-in name.
bool is_path(const std::string& what);

// Throws amp::InvalidArgument for a name that is neither a file's nor a built-in model's.
void check_model_name(const std::string& what);

// Makes a model with fresh weights from LibTorch's generator; a TorchScript model comes with its
// own. what: a built-in name; LIBRARY.so, which is loaded and must register one model, or
// LIBRARY.so:NAME for one of several; or FILE.pt. Loading either runs what is in it. sizes are for
// the built-in models of text; others have none.
//
// Throws amp::InvalidArgument for an unknown name, a shape the model cannot take or sizes that do not
// go together, and amp::IoError for a file that is no plug-in or no TorchScript model.
std::unique_ptr<Model> make_model(const std::string& what, const amp::ModelShape& shape,
                                  const ModelSizes& sizes = {});

// A model around a module with its forward and, if it has one, its loss.
std::unique_ptr<Model> model_of(amp::RegisteredModel model);

// Runs two blank samples through the model. Throws amp::InvalidArgument, with both shapes, when it
// fails or returns anything but the floating-point logits that `shape` asks for, and for a model
// without parameters to train.
void check_model(Model& model, const std::string& what, const amp::ModelShape& shape);

// Throws amp::InvalidArgument, naming the model, unless it has floating-point parameters that need
// gradients.
void check_parameters(const Model& model, const std::string& what);

// A model that comes out of a file, or names one: its path is kept whole, so that it is found again
// from another folder.
std::string absolute_model(const std::string& what);

}  // namespace ampersand
