// Which optimizers a mixed-precision step can run.
#pragma once

#include <torch/optim/optimizer.h>

namespace amp::scaling {

// Throws InvalidArgument, beginning with `who`, for an optimizer without any parameter and for
// LBFGS, which evaluates the loss again inside its step. An empty extra group is allowed.
void check_optimizer(torch::optim::Optimizer& optimizer, const char* who);

}  // namespace amp::scaling
