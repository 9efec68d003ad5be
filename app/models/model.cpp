// Making models, and checking that they fit the data.
#include "app/models/model.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <functional>
#include <sstream>
#include <utility>

#include "amp/error.h"
#include "app/models/guarded_model.h"
#include "app/models/model_error.h"
#include "app/models/model_evaluator.h"
#include "app/models/module_model.h"
#include "app/models/plug_in.h"
#include "app/models/script_model.h"
#include "app/terminal/formatted.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

class TaskModuleModel : public ModuleModel<> {
 public:
  explicit TaskModuleModel(amp::TaskModel model)
      : ModuleModel(model.module), model_(std::move(model)) {}

  at::Tensor forward(const std::vector<at::Tensor>& inputs) override {
    return model_.forward(inputs);
  }
  at::Tensor loss(const at::Tensor& outputs, const std::vector<at::Tensor>& targets) override {
    return model_.loss ? model_.loss(outputs, targets) : Model::loss(outputs, targets);
  }
  const std::map<std::string, amp::WeightLayout>& layouts() const override {
    return model_.layouts;
  }

 private:
  amp::TaskModel model_;
};

std::string sizes(at::IntArrayRef shape) {
  std::ostringstream text;
  text << shape;
  return text.str();
}

// Two blank samples, and what must come out.
struct Trial {
  std::string noun;
  at::Tensor inputs;
  std::vector<std::int64_t> outputs;
  std::string meaning;
};

Trial trial_of(const amp::ModelShape& shape) {
  if (shape.is_text())
    return {"tokens",
            at::zeros({2, shape.context}, c10::kLong),
            {2, shape.context, shape.vocabulary},
            "2 texts, " + std::to_string(shape.context) + " tokens, vocabulary of " +
                std::to_string(shape.vocabulary)};
  return {"images",
          at::zeros({2, shape.channels, shape.height, shape.width}),
          {2, shape.classes},
          "2 images, " + std::to_string(shape.classes) + " classes"};
}

[[noreturn]] void throw_failed(const std::string& what, const Trial& trial,
                               const std::string& why) {
  throw amp::InvalidArgument("model " + what + ": given " + trial.noun + " of shape " +
                             sizes(trial.inputs.sizes()) + " it failed: " + why);
}

// What an op refuses is a model for other data; what else is thrown is the model's own matter.
at::Tensor output_of(Model& model, const std::string& what, const Trial& trial) {
  try {
    return model.forward({trial.inputs});
  } catch (const ModelError& error) {
    const auto& thrown = error.thrown();
    if (thrown.kind != amp::Thrown::Kind::other || thrown.op.empty()) throw;
    throw_failed(what, trial, thrown.message);
  } catch (const amp::Error&) {
    throw;
  } catch (const std::exception&) {
    throw_failed(what, trial, amp::thrown_of(std::current_exception()).message);
  }
}

// A plug-in's factory runs the user's code.
amp::TaskModel made_by_plug_in(const std::string& what,
                               const std::function<amp::TaskModel()>& make) {
  try {
    return make();
  } catch (...) {
    const auto error = std::current_exception();
    auto thrown = located(nullptr, amp::thrown_of(error), [&] { static_cast<void>(make()); });
    thrown.after.clear();  // it would be an op of the first weights
    throw ModelError(what, std::move(thrown), error, "while it was made");
  }
}

amp::TaskModel plug_in_model(const std::string& what, const amp::Task& task) {
  const auto found = plug_in_model_named(what);
  if (!found.task.empty())
    return made_by_plug_in(what, [&] { return task.make_model(found.model); });
  const auto shape = task.model_shape();
  if (!shape.has_value())
    throw amp::InvalidArgument("--model " + what +
                               ": it is registered as a model of images or text, and " +
                               task.noun() + " are neither; register a task (amp/task.h)");
  return made_by_plug_in(
      what, [&] { return amp::task_model(amp::make_registered_model(found.model, *shape)); });
}

// A task that is not registered, such as one of a test, knows its models itself.
void check_is_of_task(const std::string& what, const amp::Task& task) {
  for (const auto& info : amp::registered_tasks()) {
    if (info.name != task.name() || std::ranges::find(info.models, what) != info.models.end())
      continue;
    throw amp::InvalidArgument("--model " + what + " is no model of the task " + info.name +
                               "; give --model " + one_of(info.models) + ", or leave it out");
  }
}

// Of a name that is no file's; also in a plug-in's task, whose code is the user's.
amp::TaskModel task_model_named(const std::string& what, const amp::Task& task, bool trusted) {
  check_is_of_task(what, task);
  const auto make = [&] { return task.make_model(what); };
  return trusted ? make() : made_by_plug_in(what, make);
}

std::unique_ptr<Model> unguarded_model(const std::string& what, const amp::Task& task,
                                       bool trusted) {
  if (is_plug_in(what)) return std::make_unique<TaskModuleModel>(plug_in_model(what, task));
  if (is_path(what)) return load_script_model(what);
  if (task.name().empty()) check_model_name(what);
  return std::make_unique<TaskModuleModel>(task_model_named(what, task, trusted));
}

// Of any task without outputs of a known shape.
void try_first_samples(Model& model, const std::string& what, const amp::Task& task) {
  const auto batches = task.training_batches(2, c10::kFloat);
  if (batches->samples() != task.training_samples() || batches->batch_size() != 2)
    throw amp::InvalidArgument(
        "task " + task.name() + ": training_batches(2, ...) must have batches of 2 of its " +
        std::to_string(task.training_samples()) + " " + task.noun() + ", got batches of " +
        std::to_string(batches->batch_size()) + " of " + std::to_string(batches->samples()));
  ModelEvaluator evaluator(model, amp::Recipe::fp32());
  const auto batch = batches->needs_model() ? batches->make(0, evaluator) : batches->get(0);
  const auto loss = model.loss(evaluator.forward(batch.inputs), batch.targets);
  if (loss.defined() && loss.is_floating_point() && loss.numel() == 1) return;
  throw amp::InvalidArgument(
      "model " + what + ": its loss must be one floating-point element, got " +
      (loss.defined() ? sizes(loss.sizes()) + " of " + c10::toString(loss.scalar_type())
                      : std::string("nothing")));
}

void try_blank_samples(Model& model, const std::string& what, const amp::ModelShape& shape) {
  c10::NoGradGuard no_grad;
  model.train(false);
  const auto trial = trial_of(shape);
  const auto output = output_of(model, what, trial);
  model.train(true);
  if (output.defined() && output.is_floating_point() && output.sizes() == trial.outputs) return;
  const auto got = output.defined()
                       ? sizes(output.sizes()) + " of " + c10::toString(output.scalar_type())
                       : std::string("nothing");
  throw amp::InvalidArgument("model " + what + ": for " + trial.noun + " of shape " +
                             sizes(trial.inputs.sizes()) + " it must return logits of shape " +
                             sizes(trial.outputs) + " (" + trial.meaning + "), got " + got);
}

}  // namespace

at::Tensor Model::loss(const at::Tensor& outputs, const std::vector<at::Tensor>& targets) {
  if (task_ != nullptr) return task_->loss(outputs, targets);
  return at::cross_entropy_loss(outputs.flatten(0, -2), targets.at(0).flatten());
}

const std::map<std::string, amp::WeightLayout>& Model::layouts() const {
  static const std::map<std::string, amp::WeightLayout> kNone;
  return kNone;
}

std::unique_ptr<Model> model_of(amp::TaskModel model, const std::string& name, bool trusted) {
  return std::make_unique<GuardedModel>(std::make_unique<TaskModuleModel>(std::move(model)), name,
                                        trusted);
}

bool is_path(const std::string& what) {
  return what.find('/') != std::string::npos || what.find('.') != std::string::npos;
}

void check_model_name(const std::string& what) {
  if (is_plug_in(what)) return;
  if (is_path(what)) return check_script_file(what);
  std::string list;
  for (const auto& task : amp::registered_tasks()) {
    if (std::ranges::find(task.models, what) != task.models.end()) return;
    for (const auto& name : task.models) list += name + ", ";
  }
  throw amp::InvalidArgument(
      "--model must be " + list +
      "LIBRARY.so with a model of your own or FILE.pt of TorchScript, got '" + what + "'");
}

amp::Recipe Model::with_names(amp::Recipe recipe) {
  if (!recipe.policy.has_value()) return recipe;
  if (const auto* own = module(); own != nullptr && recipe.policy->needs_model(*own))
    recipe.policy->bind(*own);
  if (const auto* script = script_module();
      script != nullptr && recipe.policy->needs_model(*script))
    recipe.policy->bind(*script);
  return recipe;
}

std::unique_ptr<Model> make_model(const std::string& what, const amp::Task& task) {
  const bool trusted = !is_path(what) && !is_from_plug_in(task.name());
  auto model = std::make_unique<GuardedModel>(unguarded_model(what, task, trusted), what, trusted);
  model->learn(task);
  return model;
}

void check_parameters(const Model& model, const std::string& what) {
  const auto parameters = model.parameters();
  const auto trained = [](const at::Tensor& tensor) {
    return tensor.is_floating_point() && tensor.requires_grad();
  };
  if (std::any_of(parameters.begin(), parameters.end(), trained)) return;
  throw amp::InvalidArgument("model " + what +
                             ": it has no parameters to train; give one with floating-point "
                             "parameters that need gradients");
}

void check_model(Model& model, const std::string& what, const amp::Task& task) {
  check_parameters(model, what);
  if (const auto shape = task.model_shape()) return try_blank_samples(model, what, *shape);
  if (is_from_plug_in(task.name())) try_first_samples(model, what, task);
}

std::string absolute_model(const std::string& what) {
  return is_path(what) ? fs::absolute(what).lexically_normal().string() : what;
}

}  // namespace ampersand
