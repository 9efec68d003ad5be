// What `compare --inspect` writes: a page for each low precision, and inspect.json of all of them.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/inspection/watch.h"
#include "app/settings/settings.h"
#include "app/training/trainer.h"

namespace ampersand {

class LiveComparison {
 public:
  // every: micro-batches from one that is compared to the next. Removes what an earlier command left of
  // its kind in the folder.
  LiveComparison(std::filesystem::path folder, const Settings& settings, std::int64_t every);

  // The observer of a run in this precision; null for fp32, which there is nothing beside.
  std::unique_ptr<Watch> watch(const Precision& precision) const;
  // Writes the run's page and adds it to inspect.json. Returns the event for the metrics: "inspection".
  nlohmann::json add(const RunPlan& plan, const Watch& watch);

 private:
  std::filesystem::path folder_;
  const Settings& settings_;
  std::int64_t every_;
  nlohmann::json all_;
};

}  // namespace ampersand
