// An examination for people and files.
#include "app/inspection/treatment.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "app/files/write_file.h"

namespace ampersand {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// As a shell takes it.
std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string("-_./:=,+@%").find(static_cast<char>(c)) != std::string::npos;
  });
  if (plain) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

std::string nine_digits(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

template <typename Value>
std::string option_of(const std::string& option, const Value& value) {
  if constexpr (std::is_same_v<Value, bool>) {
    return value ? " " + option : "";
  } else if constexpr (std::is_floating_point_v<Value>) {
    return " " + option + " " + nine_digits(value);
  } else if constexpr (std::is_arithmetic_v<Value>) {
    return " " + option + " " + std::to_string(value);
  } else {
    return " " + option + " " + quoted(std::string(value));
  }
}

}  // namespace

const amp::Remedy* best_of(const amp::Examination& examination) {
  const auto found = std::ranges::find_if(examination.remedies, &amp::Remedy::cures);
  return found == examination.remedies.end() ? nullptr : &*found;
}

void write_treatment(const fs::path& folder, const amp::Examination& examination) {
  const auto* best = best_of(examination);
  if (best == nullptr || !best->recipe.has_value()) return;
  write_file(folder / "recipe.json", best->recipe->to_json() + "\n");
  if (best->recipe->policy.has_value())
    write_file(folder / "policy.json", best->recipe->policy->to_json() + "\n");
}

std::string command_for(const amp::Examination& examination, const Settings& settings,
                        const fs::path& folder, const std::string& precision) {
  const auto* best = best_of(examination);
  if (best == nullptr) return {};
  // Of a run that went on nothing was given but the folder: what is not the default counts.
  std::map<std::string, std::string> defaults;
  const Settings usual;
  visit_settings(usual, [&](const std::string& option, const char*, const auto& value) {
    defaults[option] = option_of(option, value);
  });
  std::string command = "ampersand train";
  visit_settings(settings, [&](const std::string& option, const char*, const auto& value) {
    const bool changes = option == "--lr" && best->learning_rate != 1;
    const bool in_recipe = option == "--loss-scale" || option == "--steps";
    const auto text = option_of(option, value);
    const bool is_said =
        settings.given.empty() ? text != defaults[option] : settings.is_given(option);
    if (is_said && !changes && !in_recipe) command += text;
  });
  if (!settings.init.empty()) command += option_of("--init", settings.init.string());
  if (best->learning_rate != 1)
    command += " --lr " + nine_digits(settings.learning_rate * best->learning_rate);
  if (!best->recipe.has_value() && precision != "fp32") command += " --precision " + precision;
  if (best->recipe.has_value()) command += " --recipe " + quoted((folder / "recipe.json").string());
  return command;
}

json treatment_json(const amp::Examination& examination, const std::string& command) {
  json experiments = json::array(), remedies = json::array();
  for (const auto& trial : examination.trials)
    experiments.push_back(
        {{"what", trial.what}, {"outcome", trial.outcome}, {"cures", trial.cures}});
  for (const auto& remedy : examination.remedies) {
    remedies.push_back(
        {{"advice", remedy.advice},
         {"tried_steps", remedy.steps},
         {"cures", remedy.steps > 0 ? json(remedy.cures) : json()},
         {"outcome", remedy.outcome},
         {"learning_rate", remedy.learning_rate},
         {"recipe", remedy.recipe.has_value() ? json::parse(remedy.recipe->to_json()) : json()},
         {"code", remedy.code}});
  }
  return {{"experiments", experiments},
          {"remedies", remedies},
          {"replays", examination.replays},
          {"treatment", command.empty() ? json() : json(command)}};
}

std::vector<std::vector<std::string>> experiment_rows(const amp::Examination& examination) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& trial : examination.trials)
    rows.push_back({trial.what, trial.outcome, trial.cures ? "yes" : "no"});
  return rows;
}

std::vector<std::vector<std::string>> remedy_rows(const amp::Examination& examination) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& remedy : examination.remedies)
    rows.push_back({remedy.advice, remedy.steps == 0 ? "not tried" : remedy.outcome,
                    remedy.steps == 0 ? "–"
                    : remedy.cures    ? "yes"
                                      : "no"});
  return rows;
}

}  // namespace ampersand
