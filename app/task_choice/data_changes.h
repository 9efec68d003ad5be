// Data that have changed since a run.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "amp/task.h"

namespace ampersand {

// What of its data a command compares with those of the run.
enum class Compared { test, all };

struct ChangeOptions {
  Compared compared = Compared::all;
  std::string data;     // what the data are called
  std::string remedy;   // what can be done, for the message
  bool accept = false;  // say what has changed, and go on
};

// Compares what a task has read with what a run saw, of which `state` (RunState::task) tells. Says so in
// a line on standard error where the run kept nothing to compare with, being of an earlier version.
// Throws amp::IoError, naming the parts that have changed.
void check_unchanged(const amp::Task& task, const nlohmann::json& state,
                     const ChangeOptions& options);

}  // namespace ampersand
