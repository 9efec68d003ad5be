// Finding an optimizer's second interface.
#pragma once

#include <torch/optim/optimizer.h>

#include "amp/optim/scaled_step.h"

namespace amp::optim {

// The optimizer's second interface if it has a fused step, else null.
ScaledStep* fused_step_of(torch::optim::Optimizer& optimizer);
bool has_fused_step(const torch::optim::Optimizer& optimizer);

}  // namespace amp::optim
