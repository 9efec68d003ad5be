// Weights that are moved a little.
#include "app/training/perturbation.h"

#include <ATen/Context.h>
#include <ATen/ops/rand.h>
#include <c10/core/GradMode.h>

namespace ampersand {

void perturb(Model& model, std::uint64_t seed) {
  const c10::NoGradGuard no_grad;
  auto generator = at::globalContext().defaultGenerator(at::kCPU).clone();
  generator.set_current_seed(seed);
  for (auto& parameter : model.parameters()) {
    const auto by = at::rand(parameter.sizes(), generator, at::kDouble).sub_(0.5);
    parameter.mul_(by.mul_(0x1p-7).add_(1).to(parameter.device()));
  }
}

}  // namespace ampersand
