// Going on with an earlier run.
#pragma once

#include <filesystem>
#include <memory>

#include "amp/task.h"
#include "app/settings/settings.h"
#include "app/training/trainer.h"

namespace ampersand {

struct Resumption {
  RunPlan plan;  // from the newest whole checkpoint, in the run's precision and with its seed
  Settings settings;
  std::unique_ptr<amp::Task> task;
};

// The run in this folder, changed by what was given now; computes on the CPU as the run did. Throws
// as find_checkpoint, resumed_settings and prepare do, and as check_unchanged for other data than
// the run had; where it examines, they are only told.
Resumption resume_run(const std::filesystem::path& run, const Settings& given,
                      bool examines = false);

}  // namespace ampersand
