// The registry of tasks by name.
#include <algorithm>
#include <mutex>

#include "amp/error.h"
#include "amp/task.h"
#include "src/model_registry/registration_error.h"

namespace amp {
namespace {

struct TaskRegistry {
  std::mutex mutex;
  std::vector<TaskInfo> tasks;
};

// Made at the first call: plug-ins register before anybody's statics can be relied on.
TaskRegistry& task_registry() {
  static auto* made = new TaskRegistry;
  return *made;
}

}  // namespace

bool register_task(TaskInfo info) {
  if (info.name.empty() || info.models.empty() || info.make == nullptr)
    throw InvalidArgument(
        "register_task: a task needs a name, a model and a function that makes "
        "it, got the name '" +
        info.name + "'");
  auto& [mutex, tasks] = task_registry();
  const std::lock_guard lock(mutex);
  if (std::ranges::find(tasks, info.name, &TaskInfo::name) != tasks.end())
    throw InvalidArgument("register_task: the name '" + info.name +
                          "' is taken; choose another for this task");
  tasks.push_back(std::move(info));
  return true;
}

std::vector<TaskInfo> registered_tasks() {
  auto& [mutex, tasks] = task_registry();
  const std::lock_guard lock(mutex);
  return tasks;
}

std::unique_ptr<Task> make_registered_task(const TaskInfo& info, const TaskOptions& options) {
  auto task = info.make(options);
  task->name_ = info.name;
  return task;
}

bool register_task_statically(TaskInfo info) noexcept {
  return registered_statically([&] { return register_task(std::move(info)); });
}

const OptionValue& TaskOptions::found(const std::string& name) const {
  if (const auto found = options.find(name); found != options.end()) return found->second;
  throw InvalidArgument("TaskOptions: there is no option '" + name +
                        "'; name one of `ampersand train --help`, such as --context");
}

void TaskOptions::throw_other_type(const std::string& name) {
  throw InvalidArgument("TaskOptions: the value of " + name +
                        " has another type; ask for bool, std::int64_t, double or std::string");
}

}  // namespace amp
