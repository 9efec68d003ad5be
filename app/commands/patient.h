// The training that `ampersand doctor` examines.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "amp/task.h"
#include "app/settings/settings.h"
#include "app/training/trainer.h"

namespace ampersand {

inline constexpr std::int64_t kDoctorSteps = 200;

struct DoctorOptions {
  Settings settings;
  std::string precision = "fp32";
  std::string run;         // a folder to go on from; empty: a new training
  std::int64_t every = 1;  // records the ops of every N-th micro-batch
  bool no_reference = false;
};

struct Patient {
  RunPlan plan;
  Settings settings;
  std::unique_ptr<amp::Task> task;
  std::int64_t steps = kDoctorSteps;  // to watch
  std::vector<std::string> notes = {};
};

// Makes a new training, or goes on with the run of options.run: from its newest checkpoint, or from
// its first step where it has none. Throws amp::InvalidArgument for options that do not go together,
// and amp::IoError for a run that says too little.
Patient patient_of(const DoctorOptions& options);

}  // namespace ampersand
