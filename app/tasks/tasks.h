// Which task a model and its data make.
#pragma once

#include <memory>
#include <string>

#include "app/settings/settings.h"
#include "app/tasks/task.h"

namespace ampersand {

// The task that settings.model and settings.data ask for, with its data: images, text, translation or
// speech. Throws amp::IoError for data that cannot be read, and amp::InvalidArgument for a model that
// does not learn from data of that kind.
std::unique_ptr<Task> make_task(const Settings& settings);

// The task of an earlier training, which `state` was kept of, perhaps with other data of the same
// kind. Throws as make_task does, and amp::InvalidArgument for data that do not fit the model.
std::unique_ptr<Task> stored_task(const Settings& settings, const nlohmann::json& state);

// Whether --data NAME is a data set that comes with the program, and no path.
bool is_built_in_data(const std::string& name);

// Fills in what was not given (settings.given): the data and the ways of training that suit the model.
void complete_settings(Settings& settings);

}  // namespace ampersand
