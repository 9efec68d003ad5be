// Making it known that an optimizer has changed its parameters.
#include "src/grad_scaler/announce_step.h"

#include "amp/optim.h"
#include "src/autocast/cast_cache.h"

namespace amp::scaling {

void announce_step(torch::optim::Optimizer& optimizer) {
  autocast::clear_casts();
  if (dynamic_cast<optim::FusedOptimizer*>(&optimizer) != nullptr) return;
  for (auto& group : optimizer.param_groups()) {
    for (auto& parameter : group.params()) {
      if (parameter.grad().defined() && !parameter.is_inference())
        parameter.unsafeGetTensorImpl()->bump_version();
    }
  }
}

}  // namespace amp::scaling
