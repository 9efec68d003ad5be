// Making it known that an optimizer has changed its parameters.
#include "src/grad_scaler/announce_step.h"

#include "src/autocast/cast_cache.h"
#include "src/optim/scaled_step.h"

namespace amp::scaling {

void announce_step(torch::optim::Optimizer& optimizer) {
  autocast::clear_casts();
  if (optim::has_fused_step(optimizer)) return;  // the optimizer has done the rest
  for (auto& group : optimizer.param_groups()) {
    for (auto& parameter : group.params()) {
      if (parameter.grad().defined() && !parameter.is_inference())
        parameter.unsafeGetTensorImpl()->bump_version();
    }
  }
}

void run_and_announce(torch::optim::Optimizer& optimizer) {
  try {
    optimizer.step();
  } catch (...) {
    announce_step(optimizer);
    throw;
  }
  announce_step(optimizer);
}

}  // namespace amp::scaling
