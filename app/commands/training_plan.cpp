// From options to a training that can begin.
#include "app/commands/training_plan.h"

#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

#include "amp/error.h"
#include "app/commands/machine_choice.h"
#include "app/files/mappings.h"
#include "app/files/utf8.h"
#include "app/files/write_file.h"
#include "app/models/initial_weights.h"
#include "app/models/model.h"
#include "app/models/model_error.h"
#include "app/models/weight_values.h"
#include "app/task_choice/task_choice.h"
#include "app/task_choice/task_json.h"
#include "app/task_choice/token_meaning.h"
#include "app/terminal/notice.h"
#include "app/training/optimizers.h"

namespace ampersand {
namespace {

// What only the data can tell. It has to come before anything on disk is replaced.
void check_task(const amp::Task& task, const Settings& settings, bool examines) {
  if (settings.batch_size > task.training_samples()) {
    throw amp::InvalidArgument("--batch-size " + std::to_string(settings.batch_size) +
                               " is larger than the " + std::to_string(task.training_samples()) +
                               " training " + task.noun());
  }
  check_answers(task);
  const auto model = make_model(settings.model, task);
  check_model(*model, settings.model, task);
  if (!settings.init.empty()) {
    const auto meaning = token_meaning(task);
    const bool is_known = !meaning || has_meaning(settings.init, *meaning);
    load_initial_weights(*model, settings.init);
    if (!is_known)
      notice(settings.init.string() + ": these weights do not tell which " + meaning->kind +
             " they were trained with; they are taken for weights of " + meaning->name);
  }
  // An examination finds out what such weights do.
  if (!examines)
    check_finite(*model,
                 settings.init.empty() ? std::filesystem::path(settings.model) : settings.init);
}

std::string text_of(const std::filesystem::path& file, const char* kind) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  const int reason = stream ? (std::filesystem::is_directory(file) ? EISDIR : 0) : errno;
  if (reason != 0)
    throw amp::IoError(file, "cannot be read (" + std::generic_category().message(reason) +
                                 "); give a " + kind + " file");
  std::stringstream text;
  text << stream.rdbuf();
  check_utf8(text.str(), file);
  return std::string(without_mark(text.str()));
}

template <typename Value>
Value read_json(const std::filesystem::path& file, const char* kind) {
  try {
    return Value::from_json(text_of(file, kind));
  } catch (const amp::InvalidArgument& error) {
    throw amp::IoError(file, error.what());
  }
}

}  // namespace

void complete(amp::Recipe& recipe, const Settings& settings) {
  if (settings.gradient_range > 0 && recipe.model_dtype != c10::kFloat)
    throw amp::InvalidArgument(
        std::string("--gradient-range measures in fp32, but this recipe keeps its weights in ") +
        dtype_name(recipe.model_dtype) + "; take one with fp32 weights, such as fp16 or bf16");
  if (!settings.policy.empty()) recipe.policy = read_json<amp::OpPolicy>(settings.policy, "policy");
  recipe.accumulation = settings.accumulation;
  recipe.max_grad_norm = settings.max_grad_norm;
  recipe.scaler.max_consecutive_skips = settings.max_consecutive_skips;
}

Precision chosen_precision(const std::string& name, Settings& settings) {
  Precision precision;
  if (settings.recipe.empty()) {
    precision = parse_precision(name);
  } else {
    if (settings.is_given("--precision"))
      throw amp::InvalidArgument("--precision and --recipe both say how to train; give one");
    precision = {escaped_name(settings.recipe.stem().string()),
                 read_json<amp::Recipe>(settings.recipe, "recipe")};
    const auto& recipe = precision.recipe;
    if (!settings.is_given("--accumulation")) settings.accumulation = recipe.accumulation;
    if (!settings.is_given("--max-grad-norm")) settings.max_grad_norm = recipe.max_grad_norm;
    if (!settings.is_given("--max-consecutive-skips"))
      settings.max_consecutive_skips = recipe.scaler.max_consecutive_skips;
  }
  if (!settings.loss_scale.empty()) set_loss_scale(precision, settings.loss_scale);
  complete(precision.recipe, settings);
  return precision;
}

void write_recipe(const std::filesystem::path& file, const amp::Recipe& recipe) {
  write_file(file, recipe.to_json());
}

std::unique_ptr<amp::Task> prepare(const Settings& settings, const nlohmann::json& state,
                                   bool examines) {
  check_settings(settings);
  check_device(settings.device);
  check_optimizer(settings);
  set_fp32_engine(settings.cpu_fp32_engine);
  set_threads(settings.threads);
  // A task of a plug-in knows its models, once that is loaded.
  if (settings.task.empty() || is_path(settings.model)) check_model_name(settings.model);
  auto task = state.is_null() ? make_task(settings) : stored_task(settings, state);
  try {
    check_task(*task, settings, examines);
  } catch (const ModelError&) {
    if (!examines) throw;
  }
  check_mappings();
  return task;
}

}  // namespace ampersand
