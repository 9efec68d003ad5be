// Models of the user's own, in shared libraries.
#pragma once

#include <string>

namespace ampersand {

// LIBRARY.so or LIBRARY.so:NAME.
bool is_plug_in(const std::string& what);

// A model that a library has registered (amp/model_registry.h), or one of a task that it has (amp/task.h).
struct PlugInModel {
  std::string model;
  std::string task;  // empty: the model learns any images or text
};

// Loads the library, which stays loaded, and finds the model meant: the only one, or the first of the only task, or
// NAME. Throws amp::IoError for a file that is none or registers nothing, and amp::InvalidArgument where the name is
// missing or unknown.
PlugInModel plug_in_model_named(const std::string& what);

// The name of the task meant: the only one of the library, or NAME. Throws as plug_in_model_named does.
std::string plug_in_task_named(const std::string& what);

// Whether a library has registered a task of this name.
bool is_from_plug_in(const std::string& task);

}  // namespace ampersand
