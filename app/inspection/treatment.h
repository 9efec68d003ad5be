// An examination for people and files: what was tried, what helps, and the command that does it.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "amp/doctor.h"
#include "app/settings/settings.h"

namespace ampersand {

// The remedy that was tried and cures, and costs least; null: none.
const amp::Remedy* best_of(const amp::Examination& examination);

// Writes recipe.json and policy.json of the best remedy into the folder, if it is one of recipes.
void write_treatment(const std::filesystem::path& folder, const amp::Examination& examination);

// "ampersand train --model M --data D --recipe FOLDER/recipe.json": the same training with the best remedy.
// Empty where no option does it. precision: of the training examined. Settings of which none
// was given are those of a run, told whole.
std::string command_for(const amp::Examination& examination, const Settings& settings,
                        const std::filesystem::path& folder, const std::string& precision);

// {"experiments": [{"what", "outcome", "cures"}], "remedies": [{"advice", "tried_steps", "cures", "outcome",
// "learning_rate", "recipe", "code"}], "replays", "command"}
nlohmann::json treatment_json(const amp::Examination& examination, const std::string& command);

// Rows of text: what was tried, what came of it.
std::vector<std::vector<std::string>> experiment_rows(const amp::Examination& examination);
std::vector<std::vector<std::string>> remedy_rows(const amp::Examination& examination);

}  // namespace ampersand
