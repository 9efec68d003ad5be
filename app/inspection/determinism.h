// Whether a training gives the same losses again.
#pragma once

#include <optional>

#include "app/training/trainer.h"

namespace ampersand {

// Trains the first few micro-batches twice and compares their losses bit by bit: in fp32, or, where
// the plan goes on from a checkpoint, in its own precision. Nothing where a step threw.
std::optional<bool> is_deterministic(RunPlan plan, const Settings& settings, const amp::Task& task);

}  // namespace ampersand
