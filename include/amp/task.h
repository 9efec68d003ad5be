// Tasks by name: data, the models that learn from them, a loss and a measure. What the program `ampersand` trains,
// its own tasks and those that a plug-in brings (docs/tasks.md).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "amp/export.h"
#include "amp/measure.h"
#include "amp/model_registry.h"
#include "amp/recipe.h"
#include "amp/train_step.h"

namespace amp {

// Of so many samples; the first size of every tensor is their number.
struct Batch {
  std::vector<at::Tensor> inputs;   // what the model's forward takes, in its order
  std::vector<at::Tensor> targets;  // what the loss compares the outputs with

  AMP_API Batch to(c10::Device device) const;
};

class Batches;

// Runs the model as it is now, as an evaluation does: in eval mode, under the autocast of the recipe, without
// gradients. It gives the model back in train mode when it ends.
class AMP_API Evaluator {
 public:
  virtual ~Evaluator();

  virtual const Recipe& recipe() const = 0;
  // Of the model's parameters.
  virtual c10::Device device() const = 0;
  // The model's outputs on its device, as they come, for inputs on any device.
  virtual at::Tensor forward(const std::vector<at::Tensor>& inputs) = 0;
  // Throws what ends the command when the user has interrupted it. for_each and forward call it.
  virtual void check_interruption() const = 0;

  // Calls visit(outputs in fp32, batch on the model's device, loss) for each batch in order. Waits for the
  // device at each.
  using Visit = std::function<void(const at::Tensor& outputs, const Batch& batch, double loss)>;
  virtual void for_each(const Batches& batches, const Visit& visit) = 0;
};

// Samples in batches, in an order that depends on the seed and the epoch alone.
class AMP_API Batches {
 public:
  virtual ~Batches();

  virtual std::int64_t samples() const = 0;  // of one epoch
  virtual std::int64_t batch_size() const = 0;
  std::int64_t batches() const { return (samples() + batch_size() - 1) / batch_size(); }
  // How many samples the i-th batch holds; the last may hold fewer.
  std::int64_t samples_of(std::int64_t i) const;

  // Takes another order for each epoch. Before the first call samples come as the data have them.
  virtual void shuffle(std::uint64_t seed, std::uint64_t epoch) = 0;

  // The i-th batch, 0 <= i < batches(), on the CPU. Any number of threads may call it at once. It throws
  // StateError where batches are made with the model.
  virtual Batch get(std::int64_t i) const;

  // Whether a batch is made with the model as it is then, such as by playing a game. Then the training calls
  // make(i, model) in the place of get(i), on its own thread, before the step; once before the first shuffle, too, to
  // try the model. For a run to be the same when it is resumed, what make returns must depend on seed, epoch, i and the
  // model alone.
  virtual bool needs_model() const { return false; }
  virtual Batch make(std::int64_t i, Evaluator& model) const;
};

// The numbers 0 to samples - 1 in an order of seed and epoch, the same on every platform: Fisher-Yates on a 64-bit
// Mersenne twister. samples: at most 2^32.
AMP_API std::vector<std::uint32_t> shuffled(std::int64_t samples, std::uint64_t seed,
                                            std::uint64_t epoch);

// Batches of rows that are in memory, on the CPU. Inputs that are floating-point come in `dtype`. Throws
// InvalidArgument for no rows, for tensors of different numbers of rows, and for a batch size below 1.
AMP_API std::unique_ptr<Batches> tensor_batches(Batch rows, std::int64_t batch_size,
                                                c10::ScalarType dtype);

// A layout that weights are known in besides the model's own, such as that of published ones.
struct WeightLayout {
  std::function<bool(const NamedTensors& weights)> recognizes;  // for --init
  // Copies them into the model. Throws InvalidArgument for weights that do not fit; then nothing is changed.
  std::function<void(const NamedTensors& weights)> load;
  std::function<NamedTensors()> weights;  // the model's, for `export --format NAME`
};

// A model as a task makes it.
struct TaskModel {
  std::shared_ptr<torch::nn::Module> module;  // owns the parameters
  // Takes the inputs of a batch and returns one tensor.
  std::function<at::Tensor(const std::vector<at::Tensor>& inputs)> forward;
  // Returns one floating-point element. Empty: the task's loss.
  std::function<at::Tensor(const at::Tensor& outputs, const std::vector<at::Tensor>& targets)>
      loss = {};
  std::map<std::string, WeightLayout> layouts = {};  // by name
};

// Of a module whose forward takes one to four tensors.
template <typename Module>
TaskModel task_model(std::shared_ptr<Module> module) {
  return {module, [module](const std::vector<at::Tensor>& x) {
            if constexpr (requires(at::Tensor t) { module->forward(t, t, t, t); }) {
              return module->forward(x.at(0), x.at(1), x.at(2), x.at(3));
            } else if constexpr (requires(at::Tensor t) { module->forward(t, t, t); }) {
              return module->forward(x.at(0), x.at(1), x.at(2));
            } else if constexpr (requires(at::Tensor t) { module->forward(t, t); }) {
              return module->forward(x.at(0), x.at(1));
            } else {
              return module->forward(x.at(0));
            }
          }};
}

// Of a model that was made for a shape: it takes the first input, and its loss the first targets.
AMP_API TaskModel task_model(RegisteredModel model);

// How a model continues a text.
struct Continuation {
  std::string prompt;
  std::int64_t tokens = 200;
  double temperature = 1;  // 0: always the likeliest token
  std::int64_t top_k = 0;  // draw from the k likeliest; 0: from all
  std::uint64_t seed = 0;
};

inline constexpr std::int64_t kShowpieces = 3;  // of what a model makes after training

struct TaskInfo;
struct TaskOptions;

// What is learned. Members that return JSON return an object as text; "{}" where there is nothing to say.
class AMP_API Task {
 public:
  virtual ~Task();

  // What it is registered as; empty for one that make_registered_task has not made.
  const std::string& name() const { return name_; }

  virtual std::int64_t training_samples() const = 0;
  virtual std::int64_t test_samples() const = 0;
  // What samples are called: "images".
  virtual std::string noun() const { return "samples"; }
  // Tokens that a sample has, on average; 0 where there are none.
  virtual double tokens_per_sample() const { return 0; }

  // dtype: of inputs that are floating-point, Float, Half or BFloat16.
  virtual std::unique_ptr<Batches> training_batches(std::int64_t batch_size,
                                                    c10::ScalarType dtype) const = 0;
  virtual std::unique_ptr<Batches> test_batches(c10::ScalarType dtype) const = 0;

  // A fresh model of the task's own, one of TaskInfo::models, with weights from LibTorch's generator.
  virtual TaskModel make_model(const std::string& name) const = 0;
  // What models from elsewhere must fit, plug-ins and TorchScript: they are tried with two blank samples. None:
  // they are tried with the first two samples.
  virtual std::optional<ModelShape> model_shape() const { return std::nullopt; }
  // Of outputs of the model, in training as the recipe computes them and else in fp32, and the targets of a batch, for
  // models without a loss: one floating-point element. The
  // default is the mean cross entropy of logits [..., classes] and targets [...], int64; targets of -100 do not
  // count.
  virtual at::Tensor loss(const at::Tensor& outputs, const std::vector<at::Tensor>& targets) const;

  // What evaluate measures. Precisions are compared by the first, which may not be missing. The default is the
  // accuracy.
  virtual std::vector<Measure> measures() const;
  // How well the model does on `test`, which test_batches made. The default takes the mean of the loss and of
  // measured() over the samples.
  virtual Evaluation evaluate(Evaluator& model, const Batches& test) const;
  // Each measure's sum over the samples of one batch, by Measure::key; outputs in fp32. The default counts the
  // targets [batch], int64, that are the largest logit of outputs [batch, classes].
  virtual std::map<std::string, double> measured(const at::Tensor& outputs,
                                                 const Batch& batch) const;

  // What a checkpoint must remember, so that TaskOptions::state makes this task again, also with other data. The
  // names that the checkpoint has itself, such as "seed", are refused.
  virtual std::string state() const { return "{}"; }
  // What results.json says of the data besides the options and the number of samples.
  virtual std::string about() const { return "{}"; }
  // What tells the data from others: {"training labels": hash, ...}, by the words for each part; those of training
  // begin with "training". A list of hashes has one for each sample that is used. Cheap.
  virtual std::string content() const { return "{}"; }
  // Writes what other programs need into a run's folder, such as a vocabulary.
  virtual void save_beside(const std::filesystem::path& /*folder*/) const {}

  // What the model says of each test sample, as CSV. The default lists the outputs in fp32: index,output0,...
  virtual std::string predictions(Evaluator& model) const;
  // The prompt and what the model adds. Throws InvalidArgument where the task is not text.
  virtual std::string continued(Evaluator& model, const Continuation& how) const;
  // A few lines for the end of a training; none where that says nothing.
  virtual std::vector<std::string> showpieces(Evaluator& model, std::uint64_t seed) const;

 private:
  friend AMP_API std::unique_ptr<Task> make_registered_task(const TaskInfo&, const TaskOptions&);
  std::string name_;
};

// The value of an option of the program.
using OptionValue = std::variant<bool, std::int64_t, double, std::string>;

// What the user says of a task.
struct TaskOptions {
  std::string model;  // one of TaskInfo::models, or the path of a model from elsewhere
  std::string data;   // --data; empty where the task has none by name and none was given
  std::int64_t train_samples = 0;  // use the first N; 0: all
  std::int64_t test_samples = 0;
  std::string state = {};  // what Task::state kept of an earlier training; empty for a new one
  std::map<std::string, OptionValue> options = {};  // all of the training by name: "--context"

  // An option's value: bool, std::int64_t, double or std::string as the option has it. Throws InvalidArgument for
  // another name or type.
  template <typename Value>
  Value option(const std::string& name) const {
    if (const auto* value = std::get_if<Value>(&found(name))) return *value;
    throw_other_type(name);
  }

 private:
  AMP_API const OptionValue& found(const std::string& name) const;
  [[noreturn]] AMP_API static void throw_other_type(const std::string& name);
};

// What the tokens or labels of a model stand for, which its weights depend on.
struct TokenMeaning {
  std::string kind;         // "vocabulary"
  std::string name;         // "bpe-300"
  std::string fingerprint;  // equal where the tokens mean the same
  // What to do to train with tokens of another name: "give --vocabulary bytes".
  std::function<std::string(const std::string& name)> remedy = {};
};

// How much a path looks like data of a task. A folder may be images, and is likely text where nothing else is certain.
enum class Likeness { none, possible, likely, certain };

// What the program knows of a task before any data are read.
struct TaskInfo {
  std::string name;                    // "images"
  std::vector<std::string> models;     // that Task::make_model makes; the first is the default
  std::vector<std::string> data = {};  // names that --data may be; the first is the default
  std::string samples = "samples";     // what models learn from: "images"
  std::string data_words = "a path";   // what --data may be, in words
  bool takes_other_models = true;      // plug-ins and TorchScript
  // Empty: data are never recognised, and never refused before they are read.
  std::function<Likeness(const std::string& data)> likeness = {};
  // Options that suit the model where the user gave none: {"--optimizer": "adamw"}.
  std::function<std::map<std::string, OptionValue>(const std::string& model)> defaults = {};
  // What Task::state tells of the tokens.
  std::function<std::optional<TokenMeaning>(const std::string& state)> token_meaning = {};
  std::vector<std::string> layouts = {};  // TaskModel::layouts of its models
  // The model of options.state and options.model alone, without data, for its layouts.
  std::function<TaskModel(const TaskOptions& options)> stored_model = {};
  // Reads the data. Throws IoError for data that cannot be read.
  std::function<std::unique_ptr<Task>(const TaskOptions& options)> make = {};
};

// Puts a task into the registry of the process. Throws InvalidArgument for an empty name, one that is taken, no
// models, and no `make`. Returns true, so that a static can call it. This and the next function are thread-safe.
AMP_API bool register_task(TaskInfo info);

// In the order of their registration.
AMP_API std::vector<TaskInfo> registered_tasks();

// A task by its info. Throws whatever making it throws.
AMP_API std::unique_ptr<Task> make_registered_task(const TaskInfo& info,
                                                   const TaskOptions& options);

// register_task for static initialisers, which must not throw; registration_error() returns a refusal instead.
AMP_API bool register_task_statically(TaskInfo info) noexcept;

// Of a class of tasks with a constructor that takes TaskOptions. It has one model, of the task's name, or those of a
// static member models(); a static member defaults(model) may say which options suit them.
template <typename Class>
TaskInfo task_info(const std::string& name) {
  TaskInfo info;
  info.name = name;
  info.models = {name};
  if constexpr (requires { Class::models(); }) info.models = Class::models();
  if constexpr (requires { Class::defaults(name); }) {
    info.defaults = [](const std::string& model) { return Class::defaults(model); };
  }
  info.make = [](const TaskOptions& options) { return std::make_unique<Class>(options); };
  return info;
}

// At file scope: AMP_REGISTER_TASK("mine", MyTask);
#define AMP_REGISTER_TASK(name, ...)                                               \
  [[maybe_unused]] static const bool AMP_JOIN(amp_registered_task_, __COUNTER__) = \
      ::amp::register_task_statically(::amp::task_info<__VA_ARGS__>(name))

}  // namespace amp
