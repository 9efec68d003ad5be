// Clipping by the global gradient norm.
#include "src/train_step/clip.h"

#include <ATen/ops/full_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/ScalarType.h>

namespace amp::train_step {

at::Tensor global_norm(const std::vector<at::Tensor>& gradients) {
  if (gradients.empty()) return at::zeros({});
  std::vector<at::Tensor> norms;
  for (const auto& gradient : gradients) {
    const auto values = gradient.is_sparse() ? gradient.coalesce()._values() : gradient;
    const auto dtype = c10::promoteTypes(values.scalar_type(), c10::kFloat);
    norms.push_back(at::linalg_vector_norm(values, 2, {}, false, dtype).to(gradients[0].device()));
  }
  return norms.size() == 1 ? norms[0] : at::linalg_vector_norm(at::stack(norms));
}

void clip_to_norm_(const std::vector<at::Tensor>& gradients, const at::Tensor& norm,
                   double max_norm) {
  const auto factor = at::full_like(norm, max_norm).div_(norm.add(1e-6)).clamp_max(1.0);
  for (auto gradient : gradients) gradient.mul_(factor.to(gradient.device()));
}

}  // namespace amp::train_step
