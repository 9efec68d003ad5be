// Clipping by the global gradient norm.
#include "src/train_step/clip.h"

#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

namespace amp::train_step {

at::Tensor global_norm(const std::vector<at::Tensor>& gradients) {
  if (gradients.empty()) return at::zeros({});
  std::vector<at::Tensor> norms;
  for (const auto& gradient : gradients) {
    const auto values = gradient.is_sparse() ? gradient.coalesce()._values() : gradient;
    norms.push_back(
        at::linalg_vector_norm(values, 2, {}, false, c10::kFloat).to(gradients[0].device()));
  }
  return at::linalg_vector_norm(at::stack(norms));
}

void clip_to_norm_(const std::vector<at::Tensor>& gradients, const at::Tensor& norm,
                   double max_norm) {
  const auto factor = norm.add(1e-6).reciprocal().mul(max_norm).clamp_max(1.0);
  for (auto gradient : gradients) gradient.mul_(factor.to(gradient.device()));
}

}  // namespace amp::train_step
