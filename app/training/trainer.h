// Trains one model in one precision and tells an observer what happens.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "app/data/image_set.h"
#include "app/training/precision.h"
#include "app/training/settings.h"

namespace ampersand {

enum class Ending { finished, diverged, stopped, interrupted };

struct RunPlan {
  std::int64_t run = 0;  // its number among the runs of one command
  Precision precision;
  std::uint64_t seed = 0;
};

// What a training tells the world as it goes: one JSON object an event, of the kinds that
// metrics.jsonl documents (docs/results.md): run, step, memory, evaluation, end.
using EventSink = std::function<void(const nlohmann::json& event)>;

// Trains until the epochs or steps of `settings` are done, the run goes non-finite, too many steps
// in a row are skipped, or the user interrupts. Returns how it ended; that too is an event. Without
// loss scaling a non-finite loss means a run that diverged; with it, only max_consecutive_skips
// does.
Ending train(const RunPlan& plan, const Settings& settings, const ImageData& data,
             const EventSink& sink);

// Micro-batches in the whole run.
std::int64_t planned_steps(const Settings& settings, const ImageData& data);

}  // namespace ampersand
