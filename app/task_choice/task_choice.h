// Which task a model and its data make.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "amp/task.h"
#include "app/settings/settings.h"

namespace ampersand {

// The registered task that settings.task, settings.model and settings.data ask for, with its data. Throws
// amp::IoError for data that cannot be read, and amp::InvalidArgument for a model that does not learn from data of
// that kind.
std::unique_ptr<amp::Task> make_task(const Settings& settings);

// The task of an earlier training, whose checkpoint says `about`, perhaps with other data of the same
// kind. Throws as make_task does, and amp::InvalidArgument for data that do not fit the model.
std::unique_ptr<amp::Task> stored_task(const Settings& settings, const nlohmann::json& about);

// The model of such a checkpoint, without its data: fresh, for its layouts. Nothing where its task makes none so.
std::optional<amp::TaskModel> stored_model(const Settings& settings, const nlohmann::json& about);

// The names of all layouts that models of the registered tasks have.
std::vector<std::string> weight_layouts();

// What the tokens of such a model stand for; nothing where it has none.
std::optional<amp::TokenMeaning> token_meaning(const nlohmann::json& about);
std::optional<amp::TokenMeaning> token_meaning(const amp::Task& task);

// Whether --data NAME is a data set that comes with a task, and no path.
bool is_built_in_data(const std::string& name);

// Fills in what was not given (settings.given): the model, the data and the ways of training that suit them.
void complete_settings(Settings& settings);

// For the help of options: "Of images: mlp, cnn or resnet18; of text: ..." and what --data may be.
std::string models_in_words();
std::string data_in_words();
std::string tasks_in_words();

}  // namespace ampersand
