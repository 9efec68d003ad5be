// Tasks that are new, or made again from what a checkpoint remembers.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "tasks/common/task_settings.h"

namespace ampersand {

// Of a class with the constructors (settings) and (settings, state).
template <typename Class>
std::unique_ptr<amp::Task> made_or_stored(const amp::TaskOptions& options) {
  const auto settings = task_settings(options);
  if (options.state.empty()) return std::make_unique<Class>(settings);
  return std::make_unique<Class>(settings, nlohmann::json::parse(options.state));
}

}  // namespace ampersand
