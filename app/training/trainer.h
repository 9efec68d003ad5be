// Trains one model in one precision and tells an observer what happens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "amp/checkpoint.h"
#include "amp/task.h"
#include "app/settings/settings.h"
#include "app/training/named_precision.h"
#include "app/training/step_observer.h"

namespace ampersand {

enum class Ending { finished, diverged, stopped, interrupted, failed };

struct RunPlan {
  std::int64_t run = 0;  // its number among the runs of one command
  Precision precision;
  std::uint64_t seed = 0;
  std::filesystem::path checkpoints;      // where they go; empty: none are written
  std::optional<amp::Checkpoint> resume;  // go on from here
  bool showpieces = false;                // end with what the model writes, if it is one of text
  bool evaluates = true;                  // test the model along the way and at the end
  // Move the first weights a little (perturbation.h), by this seed.
  std::optional<std::uint64_t> perturbation;
  // Looks at the steps it watches, in the place of the memory census.
  StepObserver* observer = nullptr;
};

// What a training tells the world as it goes: one JSON object an event, of the kinds that
// metrics.jsonl documents (docs/results.md): run, step, gradients, memory, evaluation, sample, end.
using EventSink = std::function<void(const nlohmann::json& event)>;

// Trains until the epochs or steps of `settings` are done, the run goes non-finite, too many steps
// in a row are skipped, the observer has seen enough, or the user interrupts. Returns how it ended;
// that is an event, too. Without loss scaling, a run diverged if its loss is not finite; with it,
// only if max_consecutive_skips was reached. An interruption waits for the end of the accumulation
// group. A run that finished or was interrupted leaves a checkpoint, if there is a place for it.
//
// An exception of the model ends the run as failed, which is an event, too; the checkpoint is that
// of the last micro-batch that was done. Then the exception goes on, as a ModelError.
Ending train(const RunPlan& plan, const Settings& settings, const amp::Task& task,
             const EventSink& sink);

// Micro-batches in the whole run.
std::int64_t planned_steps(const Settings& settings, std::int64_t training_samples);

}  // namespace ampersand
