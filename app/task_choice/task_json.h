// What a task says of itself, as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "amp/task.h"

namespace ampersand {

// Each throws amp::InvalidArgument, naming the task, for what is no JSON object.
nlohmann::json state_of(const amp::Task& task);
nlohmann::json about(const amp::Task& task);
// Of a task that says nothing itself, the hash of what is at the path `data`.
nlohmann::json content_of(const amp::Task& task, const std::string& data);

// Asks the task for all that it says of itself. Throws amp::InvalidArgument for what is no JSON object, and for a state
// with a name that a checkpoint has itself.
void check_answers(const amp::Task& task);

// What results.json says of the data and of what runs are measured by.
nlohmann::json task_description(const amp::Task& task);

// test_loss and the measures by their keys; names begin with `prefix`.
nlohmann::json evaluation_json(const amp::Evaluation& evaluation, const std::string& prefix = "");

}  // namespace ampersand
