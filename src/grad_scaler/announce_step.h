// Making it known that an optimizer has changed its parameters.
#pragma once

#include <torch/optim/optimizer.h>

namespace amp::scaling {

// Raises the version of each parameter that has a gradient, and clears the thread's cast cache.
// Call it after each step that ran, or may have run. C++ SGD writes weights through `.data()`,
// which leaves their version as it was: a cache that trusts the version would go on serving the old
// values, and so would autocast's own in a region that is still open. An optimizer with a fused step
// raises the versions of what it writes itself, and may recognise its copies of the weights by
// them; for it only the cache is cleared.
void announce_step(torch::optim::Optimizer& optimizer);

// Steps and announces it, also if the step throws half-way, because it may have changed weights.
void run_and_announce(torch::optim::Optimizer& optimizer);

}  // namespace amp::scaling
