// What a task says of itself, as JSON.
#include "app/task_choice/task_json.h"

#include <set>

#include "amp/error.h"
#include "app/files/whereabouts.h"
#include "app/results/measures.h"

namespace ampersand {
namespace {

using nlohmann::json;

json object_of(const amp::Task& task, const char* member, const std::string& text) {
  auto object = json::parse(text, nullptr, false);
  if (object.is_object()) return object;
  throw amp::InvalidArgument("task " + task.name() + ": " + member +
                             " must return a JSON object as text, got '" + text + "'");
}

json measures_json(const amp::Task& task) {
  json list = json::array();
  for (const auto& measure : task.measures()) list.push_back(to_json(measure));
  return list;
}

}  // namespace

json state_of(const amp::Task& task) { return object_of(task, "state()", task.state()); }
json about(const amp::Task& task) { return object_of(task, "about()", task.about()); }

json content_of(const amp::Task& task, const std::string& data) {
  auto content = object_of(task, "content()", task.content());
  if (!content.empty() || data.empty()) return content;
  const auto hash = whereabouts(data, {}).value("content", "");
  if (!hash.empty()) content["content"] = hash;
  return content;
}

void check_answers(const amp::Task& task) {
  static const std::set<std::string> kOwn = {
      "ampersand", "settings", "precision",       "recipe",       "seed",
      "updates",   "threads",  "cpu_fast_engine", "half_math",    "bf16_math",
      "data_at",   "model_at", "task_at",         "data_content", "task"};
  about(task);
  object_of(task, "content()", task.content());
  measures_json(task);
  const auto state = state_of(task);
  for (const auto& [name, value] : state.items()) {
    if (kOwn.contains(name))
      throw amp::InvalidArgument("task " + task.name() + ": its state has '" + name +
                                 "', which is a name of the checkpoint's own; choose another");
  }
}

json task_description(const amp::Task& task) {
  auto object = about(task);
  object["train_samples"] = task.training_samples();
  object["test_samples"] = task.test_samples();
  object["measures"] = measures_json(task);
  return object;
}

json evaluation_json(const amp::Evaluation& evaluation, const std::string& prefix) {
  json object = {{prefix + "test_loss", evaluation.loss}};
  for (const auto& [key, value] : evaluation.measures) object[prefix + key] = value;
  return object;
}

}  // namespace ampersand
