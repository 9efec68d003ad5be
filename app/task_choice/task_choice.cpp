// Which task a model and its data make.
#include "app/task_choice/task_choice.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <type_traits>
#include <variant>

#include "amp/error.h"
#include "app/models/model.h"
#include "app/models/plug_in.h"
#include "app/task_choice/guarded_task.h"
#include "app/task_choice/task_json.h"
#include "app/terminal/formatted.h"

namespace ampersand {
namespace {

using amp::Likeness;
using amp::TaskInfo;

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

std::optional<TaskInfo> info_of(const std::string& name) {
  for (auto& info : amp::registered_tasks()) {
    if (info.name == name) return std::move(info);
  }
  return std::nullopt;
}

TaskInfo required(const std::string& name) {
  if (auto info = info_of(name)) return *info;
  throw amp::InvalidArgument("--task must be " + tasks_in_words() +
                             ", or LIBRARY.so with a task of your own, got '" + name + "'");
}

Likeness likeness_of(const TaskInfo& info, const std::string& data) {
  if (has(info.data, data)) return Likeness::certain;
  return info.likeness ? info.likeness(data) : Likeness::none;
}

// The task whose data they look like most; nothing for what is not there.
std::optional<TaskInfo> look_of(const std::string& data) {
  std::optional<TaskInfo> best;
  auto likeness = Likeness::none;
  for (auto& info : amp::registered_tasks()) {
    const auto own = likeness_of(info, data);
    if (own <= likeness) continue;
    likeness = own;
    best = std::move(info);
  }
  return best;
}

std::optional<TaskInfo> task_with_model(const std::string& model) {
  for (auto& info : amp::registered_tasks()) {
    if (has(info.models, model)) return std::move(info);
  }
  return std::nullopt;
}

// What the user has said of the task itself, or by the name of its model.
std::optional<TaskInfo> named_task(const Settings& settings) {
  if (!settings.task.empty())
    return required(is_plug_in(settings.task) ? plug_in_task_named(settings.task) : settings.task);
  if (!is_plug_in(settings.model)) return task_with_model(settings.model);
  const auto found = plug_in_model_named(settings.model);
  return found.task.empty() ? std::nullopt : info_of(found.task);
}

// A model from elsewhere learns what its data are.
TaskInfo chosen_task(const Settings& settings) {
  if (auto named = named_task(settings)) return *named;
  if (auto look = look_of(settings.data)) return *look;
  return amp::registered_tasks().at(0);
}

void check_match(const Settings& settings, const TaskInfo& info) {
  if (!info.takes_other_models && !has(info.models, settings.model))
    throw amp::InvalidArgument("--data " + settings.data + " has " + info.samples +
                               ", from which a model of your own cannot learn yet; give --model " +
                               one_of(info.models));
  const auto look = look_of(settings.data);
  if (!info.likeness || !look || look->name == info.name) return;
  // What may be of this task is better explained by its reader, unless it is known to be something else.
  if (likeness_of(*look, settings.data) != Likeness::certain &&
      likeness_of(info, settings.data) != Likeness::none)
    return;
  throw amp::InvalidArgument("--model " + settings.model + " learns from " + info.samples +
                             ", and --data " + settings.data + " has " + look->samples +
                             "; give --data " + info.data_words + ", or --model " +
                             one_of(look->models));
}

// The model's name within its task, or the path of a model from elsewhere.
std::string model_in_task(const Settings& settings) {
  return is_plug_in(settings.model) ? plug_in_model_named(settings.model).model : settings.model;
}

amp::TaskOptions options_of(const Settings& settings) {
  amp::TaskOptions options{.model = model_in_task(settings),
                           .data = settings.data,
                           .train_samples = settings.train_samples,
                           .test_samples = settings.test_samples};
  visit_settings(settings, [&](const char* option, const char*, const auto& value) {
    options.options.emplace(option, value);
  });
  return options;
}

amp::TaskOptions stored_options(const Settings& settings, const nlohmann::json& about) {
  auto options = options_of(settings);
  options.state = about.dump();
  return options;
}

std::unique_ptr<amp::Task> made(const TaskInfo& info, const amp::TaskOptions& options) {
  return amp::make_registered_task(is_from_plug_in(info.name) ? guarded(info) : info, options);
}

// Throws amp::InvalidArgument for an option that there is not, or a value of another type.
void check_defaults(const std::string& task,
                    const std::map<std::string, amp::OptionValue>& defaults,
                    const Settings& settings) {
  auto left = defaults;
  visit_settings(settings, [&](const char* option, const char*, const auto& field) {
    using Field = std::remove_cvref_t<decltype(field)>;
    const auto found = left.find(option);
    if (found == left.end()) return;
    if (!std::holds_alternative<Field>(found->second))
      throw amp::InvalidArgument("task " + task + ": the default of " + option +
                                 " has another type; give bool, std::int64_t, double or "
                                 "std::string, as the option has it");
    left.erase(found);
  });
  if (left.empty()) return;
  throw amp::InvalidArgument("task " + task + ": its defaults name '" + left.begin()->first +
                             "', which is no option of a training; see ampersand train --help");
}

// "Of images: ...; of text: ...".
template <typename Words>
std::string of_each_task(const Words& words) {
  std::string text;
  for (const auto& info : amp::registered_tasks())
    text += (text.empty() ? "Of " : "; of ") + info.samples + ": " + words(info);
  return text;
}

// A checkpoint of the first version did not name its task.
TaskInfo stored_info(const Settings& settings, const nlohmann::json& about) {
  if (auto named = named_task(settings)) return *named;
  return required(about.value("task", "images"));
}

}  // namespace

bool is_built_in_data(const std::string& name) {
  return name.empty() || std::ranges::any_of(amp::registered_tasks(), [&](const auto& info) {
           return has(info.data, name);
         });
}

void complete_settings(Settings& settings) {
  if (!settings.task.empty() && !settings.is_given("--model"))
    settings.model = chosen_task(settings).models.at(0);
  if (settings.data.empty()) {
    const auto info = chosen_task(settings);
    if (!info.data.empty()) settings.data = info.data[0];
  }
  const auto info = chosen_task(settings);
  if (!info.defaults) return;
  const auto defaults = info.defaults(model_in_task(settings));
  check_defaults(info.name, defaults, settings);
  visit_settings(settings, [&](const char* option, const char*, auto& field) {
    const auto found = defaults.find(option);
    if (found == defaults.end() || settings.is_given(option)) return;
    using Field = std::remove_reference_t<decltype(field)>;
    if (const auto* value = std::get_if<Field>(&found->second)) field = *value;
  });
}

std::unique_ptr<amp::Task> make_task(const Settings& settings) {
  const auto info = chosen_task(settings);
  check_match(settings, info);
  return made(info, options_of(settings));
}

std::unique_ptr<amp::Task> stored_task(const Settings& settings, const nlohmann::json& about) {
  return made(stored_info(settings, about), stored_options(settings, about));
}

std::vector<std::string> weight_layouts() {
  std::vector<std::string> names;
  for (const auto& info : amp::registered_tasks())
    names.insert(names.end(), info.layouts.begin(), info.layouts.end());
  return names;
}

std::optional<amp::TaskModel> stored_model(const Settings& settings, const nlohmann::json& about) {
  const auto info = stored_info(settings, about);
  if (info.stored_model == nullptr || !has(info.models, settings.model)) return std::nullopt;
  return info.stored_model(stored_options(settings, about));
}

std::optional<amp::TokenMeaning> token_meaning(const nlohmann::json& about) {
  const auto info = info_of(about.value("task", "images"));
  if (!info || info->token_meaning == nullptr) return std::nullopt;
  return info->token_meaning(about.dump());
}

std::optional<amp::TokenMeaning> token_meaning(const amp::Task& task) {
  auto about = state_of(task);
  about["task"] = task.name();
  return token_meaning(about);
}

std::string models_in_words() {
  return of_each_task([](const TaskInfo& info) { return one_of(info.models); });
}

std::string tasks_in_words() {
  std::vector<std::string> names;
  for (const auto& info : amp::registered_tasks()) names.push_back(info.name);
  return one_of(names);
}

std::string data_in_words() {
  return of_each_task([](const TaskInfo& info) { return info.data_words; });
}

}  // namespace ampersand
