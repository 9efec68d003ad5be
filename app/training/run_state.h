// What a checkpoint of the program says about its run, beside the weights and the optimizer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "amp/checkpoint.h"
#include "amp/task.h"
#include "app/settings/settings.h"
#include "app/training/trainer.h"

namespace ampersand {

struct RunState {
  Settings settings;
  nlohmann::json task;  // all that the checkpoint says, with what Task::state kept
  Precision precision;
  std::uint64_t seed = 0;
  std::int64_t updates = 0;  // steps of the optimizer
  // How products were computed on the CPU; the last bits depend on it.
  std::int64_t threads = 0;
  std::string cpu_fast_engine;  // empty: was never needed
  bool half_math = false, bf16_math = false;
};

nlohmann::json run_state_json(const Settings& settings, const RunPlan& plan, const amp::Task& task,
                              std::int64_t updates);

// Throws amp::IoError for a checkpoint that the program did not write.
RunState run_state_of(const amp::Checkpoint& checkpoint);

// Computes on the CPU as the run did.
void take_over_cpu_math(const RunState& state);

// The newest whole checkpoint of a run's folder, of a folder of checkpoints, or the one given.
// Damaged ones are passed over and named on stderr. Throws amp::IoError if there is none.
amp::Checkpoint find_checkpoint(const std::filesystem::path& where);

// The weights of a run, or, where `ema`, their moving average. Throws amp::InvalidArgument if it has
// none.
amp::NamedTensors stored_weights(const amp::Checkpoint& checkpoint, bool ema);

}  // namespace ampersand
