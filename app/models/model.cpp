// Making models, and checking that they fit the data.
#include "app/models/model.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <sstream>
#include <utility>

#include "amp/error.h"
#include "app/models/builtin.h"
#include "app/models/guarded_model.h"
#include "app/models/language_models.h"
#include "app/models/model_error.h"
#include "app/models/module_model.h"
#include "app/models/plug_in.h"
#include "app/models/script_model.h"
#include "app/models/seq2seq.h"
#include "app/models/speech.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

class RegisteredModuleModel : public ModuleModel<> {
 public:
  explicit RegisteredModuleModel(amp::RegisteredModel model)
      : ModuleModel(model.module), model_(std::move(model)) {}

  at::Tensor forward(const std::vector<at::Tensor>& inputs) override {
    return model_.forward(inputs.at(0));
  }
  at::Tensor loss(const at::Tensor& outputs, const std::vector<at::Tensor>& targets) override {
    return model_.loss ? model_.loss(outputs, targets.at(0)) : Model::loss(outputs, targets);
  }

 private:
  amp::RegisteredModel model_;
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
amp::RegisteredModel made_by_plug_in(const std::string& what, const amp::ModelShape& shape) {
  const auto name = load_plug_in(what);
  const auto make = [&] { return amp::make_registered_model(name, shape); };
  try {
    return make();
  } catch (...) {
    const auto error = std::current_exception();
    auto thrown = located(nullptr, amp::thrown_of(error), [&] { static_cast<void>(make()); });
    thrown.after.clear();  // it would be an op of the first weights
    throw ModelError(what, std::move(thrown), error, "while it was made");
  }
}

std::unique_ptr<Model> unguarded_model(const std::string& what, const amp::ModelShape& shape,
                                       const ModelSizes& sizes) {
  if (is_language_model(what)) return model_of(make_language_model(what, shape, sizes));
  if (what == "seq2seq") return make_seq2seq(shape, sizes);
  if (what == "speech") return make_speech(shape, sizes);
  if (is_plug_in(what)) return model_of(made_by_plug_in(what, shape));
  if (is_path(what)) return load_script_model(what);
  return model_of(amp::make_registered_model(what, shape));
}

}  // namespace

at::Tensor Model::loss(const at::Tensor& outputs, const std::vector<at::Tensor>& targets) {
  return at::cross_entropy_loss(outputs.flatten(0, -2), targets.at(0).flatten());
}

std::unique_ptr<Model> model_of(amp::RegisteredModel model) {
  return std::make_unique<RegisteredModuleModel>(std::move(model));
}

bool is_path(const std::string& what) {
  return what.find('/') != std::string::npos || what.find('.') != std::string::npos;
}

void check_model_name(const std::string& what) {
  const auto names = builtin_model_names();
  if (is_path(what) && !is_plug_in(what)) check_script_file(what);
  if (is_path(what) || std::find(names.begin(), names.end(), what) != names.end()) return;
  std::string list;
  for (const auto& name : names) list += name + ", ";
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

std::unique_ptr<Model> make_model(const std::string& what, const amp::ModelShape& shape,
                                  const ModelSizes& sizes) {
  check_model_name(what);
  register_builtin_models();
  return std::make_unique<GuardedModel>(unguarded_model(what, shape, sizes), what, !is_path(what));
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

void check_model(Model& model, const std::string& what, const amp::ModelShape& shape) {
  check_parameters(model, what);
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

std::string absolute_model(const std::string& what) {
  return is_path(what) ? fs::absolute(what).lexically_normal().string() : what;
}

}  // namespace ampersand
