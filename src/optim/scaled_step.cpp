// ScaledStep's defaults, and the one home of its type information: GradScaler finds it by
// dynamic_cast across libraries.
#include "amp/optim/scaled_step.h"

#include <c10/util/Type.h>

#include <string>

#include "amp/error.h"
#include "src/optim/scaled_step.h"

namespace amp::optim {
namespace {

[[noreturn]] void refuse(const ScaledStep& step, const char* function) {
  throw UnsupportedError(c10::demangle(typeid(step).name()) + ": there is no " + function +
                         "; override it, or let has_fused_step() be false");
}

}  // namespace

ScaledStep::~ScaledStep() = default;

StepOutcome ScaledStep::fused_step(const FusedStepOptions&) { refuse(*this, "fused_step()"); }
StepOutcome ScaledStep::examine(const at::Tensor&) { refuse(*this, "examine()"); }

const std::vector<at::Tensor>& ScaledStep::non_finite_parameters() const {
  static const std::vector<at::Tensor> none;
  return none;
}

ScaledStep* fused_step_of(torch::optim::Optimizer& optimizer) {
  auto* step = dynamic_cast<ScaledStep*>(&optimizer);
  return step != nullptr && step->has_fused_step() ? step : nullptr;
}

bool has_fused_step(const torch::optim::Optimizer& optimizer) {
  const auto* step = dynamic_cast<const ScaledStep*>(&optimizer);
  return step != nullptr && step->has_fused_step();
}

}  // namespace amp::optim
