// The same training in fp32.
#pragma once

#include <functional>

#include "amp/doctor.h"
#include "app/training/trainer.h"

namespace ampersand {

// Trains `steps` micro-batches in fp32, from the plan's weights, batches and random numbers, until its loss
// or its weights are no numbers. What the model throws ends it: `failed`.
amp::ReferenceRun reference_run(RunPlan plan, const Settings& settings, const amp::Task& task,
                                std::int64_t steps, const std::function<void(std::int64_t)>& show);

// Its losses where the weights are moved first, each by at most half an ulp of bf16: as far as rounding moves them,
// but once and by chance. How far they lie from the others is a training's noise.
std::vector<double> moved_losses(RunPlan plan, const Settings& settings, const amp::Task& task,
                                 std::int64_t steps, const std::function<void(std::int64_t)>& show);

}  // namespace ampersand
