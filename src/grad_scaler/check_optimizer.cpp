// Which optimizers a mixed-precision step can run.
#include "src/grad_scaler/check_optimizer.h"

#include <torch/optim/lbfgs.h>

#include <algorithm>
#include <string>

#include "amp/error.h"

namespace amp::scaling {

void check_optimizer(torch::optim::Optimizer& optimizer, const char* who) {
  if (dynamic_cast<torch::optim::LBFGS*>(&optimizer) != nullptr) {
    throw InvalidArgument(
        std::string(who) +
        ": LBFGS evaluates the loss again inside its step, which a loss scale cannot follow; use "
        "another optimizer, or call it yourself without loss scaling");
  }
  auto& groups = optimizer.param_groups();
  const bool empty =
      std::all_of(groups.begin(), groups.end(), [](auto& group) { return group.params().empty(); });
  if (empty) throw InvalidArgument(std::string(who) + ": the optimizer has no parameters to step");
}

}  // namespace amp::scaling
