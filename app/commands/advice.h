// What `advise` found, in words, files and a page.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "app/inspection/trials.h"
#include "app/settings/settings.h"

namespace ampersand {

struct Advice {
  Ranges ranges;
  std::optional<bool> deterministic;
  std::vector<Trial> trials;       // the first in fp32
  std::vector<double> fp32_again;  // losses of fp32 from weights moved by half an ulp of bf16
  std::vector<Comparison> comparisons;
  std::size_t recommended = 0;  // among the trials
  std::optional<std::size_t> runner_up;
  nlohmann::json inspection;  // of the fp32 training
  nlohmann::json results;     // of the trials, as in results.json
};

// Writes advise.json, advise.html, recipe.json and policy.json into the folder, and prints the gist.
void write_advice(const std::filesystem::path& folder, const Settings& settings,
                  const Advice& advice);

}  // namespace ampersand
