// From options to a training that can begin: its precision, its recipe, its task.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "amp/task.h"
#include "app/settings/settings.h"
#include "app/training/named_precision.h"

namespace ampersand {

// The precision that --precision or --recipe names, with what the other options say of the recipe;
// what only the recipe says goes into the settings. Throws amp::InvalidArgument and, for the recipe
// file, amp::IoError.
Precision chosen_precision(const std::string& name, Settings& settings);

// Puts the options that speak of the recipe into it. Throws amp::IoError for a policy file that cannot
// be read or is none.
void complete(amp::Recipe& recipe, const Settings& settings);

void write_recipe(const std::filesystem::path& file, const amp::Recipe& recipe);

// Sets threads and the CPU engine, checks everything that can be checked, and reads the data. state:
// what a run that goes on has kept of its task. examines: what the model throws is left for the training
// to find. Throws amp::InvalidArgument, amp::UnsupportedError, amp::IoError or ModelError.
std::unique_ptr<amp::Task> prepare(const Settings& settings, const nlohmann::json& state = {},
                                   bool examines = false);

}  // namespace ampersand
