// The events with which a run begins and ends, and parts of others.
#pragma once

#include <torch/optim/optimizer.h>

#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amp/op_policy.h"
#include "amp/recipe.h"
#include "amp/train_step.h"
#include "app/training/run.h"
#include "app/training/trainer.h"

namespace ampersand {

amp::OpPolicy policy_of(const amp::Recipe& recipe, const c10::Device& device);

nlohmann::json run_event(const RunPlan& plan, const Settings& settings, std::int64_t planned);

// step: the last micro-batch, or the one that failed.
nlohmann::json end_event(const Run& run, Ending ending, std::int64_t step,
                         const std::string& reason, const std::exception_ptr& failure);

// What the end of a run says of the ModelError that ended it.
nlohmann::json failure_json(const std::exception_ptr& failure);

// [false, true]: a gradient of the second group was Inf or NaN.
std::vector<bool> found_inf_by_group(const amp::StepReport& report,
                                     const torch::optim::Optimizer& optimizer);

}  // namespace ampersand
