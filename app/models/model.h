// What the program trains: a built-in model, one of a plug-in, or a TorchScript file.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "amp/task.h"
#include "amp/train_step.h"

namespace ampersand {

class Model {
 public:
  virtual ~Model() = default;

  // Takes the inputs of a batch, as the task has them.
  virtual at::Tensor forward(const std::vector<at::Tensor>& inputs) = 0;
  // The model's own loss, or that of the task.
  virtual at::Tensor loss(const at::Tensor& outputs, const std::vector<at::Tensor>& targets);
  // What a model without a loss learns by; must outlive this. Before it is called that is amp::Task's default.
  virtual void learn(const amp::Task& task) { task_ = &task; }

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
  // Other layouts of its weights.
  virtual const std::map<std::string, amp::WeightLayout>& layouts() const;
  // The recipe, with its policy's rules of modules bound to this model. Throws amp::InvalidArgument for
  // one that means none of its modules.
  amp::Recipe with_names(amp::Recipe recipe);
  virtual std::unique_ptr<amp::TrainStep> train_step(torch::optim::Optimizer& optimizer,
                                                     const amp::Recipe& recipe) = 0;

 private:
  const amp::Task* task_ = nullptr;
};

// Whether a --model is a file's path, and no built-in name.
bool is_path(const std::string& what);

// Throws amp::InvalidArgument for a name that is neither a file's nor that of a registered task's model, and
// amp::IoError for a file that is seen to be no TorchScript model.
void check_model_name(const std::string& what);

// Makes a model with fresh weights from LibTorch's generator; a TorchScript model comes with its own. what: the name
// of a model of the task's; LIBRARY.so, which is loaded and must register one model or one task, or LIBRARY.so:NAME
// for one of several; or FILE.pt. Loading either runs what is in it. task: what it learns; must outlive the model.
//
// Throws amp::InvalidArgument for an unknown name, a model from elsewhere where the task takes none, or what the task
// throws, and amp::IoError for a file that is no plug-in or no TorchScript model.
std::unique_ptr<Model> make_model(const std::string& what, const amp::Task& task);

// A model that a task has made. It is made again where it throws, to learn which op that was; trusted: the program's
// own, whose amp::Errors are its words to the user.
std::unique_ptr<Model> model_of(amp::TaskModel model, const std::string& name, bool trusted);

// Tries the model: with two blank samples where the task has a shape for models from elsewhere, with the first two
// samples of a task that is not the program's own. Throws amp::InvalidArgument, with both shapes, when it fails or
// returns other outputs than `shape` asks for, where the loss is not one floating-point element, and for a model
// without parameters to train.
void check_model(Model& model, const std::string& what, const amp::Task& task);

// Throws amp::InvalidArgument, naming the model, unless it has floating-point parameters that need
// gradients.
void check_parameters(const Model& model, const std::string& what);

// A model that comes out of a file, or names one: its path is kept whole, so that it is found again
// from another folder.
std::string absolute_model(const std::string& what);

}  // namespace ampersand
