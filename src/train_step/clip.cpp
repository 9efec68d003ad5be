// Clipping by the global gradient norm.
#include "src/train_step/clip.h"

#include <ATen/ops/full_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/ScalarType.h>

#include <cmath>

namespace amp::train_step {

namespace {

// at_least: the dtype in which squares are added up, or that of the gradient.
at::Tensor norm_in(c10::ScalarType at_least, const std::vector<at::Tensor>& gradients) {
  std::vector<at::Tensor> norms;
  for (const auto& gradient : gradients) {
    const auto values = gradient.is_sparse() ? gradient.coalesce()._values() : gradient;
    const auto dtype = c10::promoteTypes(values.scalar_type(), at_least);
    norms.push_back(at::linalg_vector_norm(values, 2, {}, false, dtype).to(gradients[0].device()));
  }
  return norms.size() == 1 ? norms[0] : at::linalg_vector_norm(at::stack(norms));
}

}  // namespace

at::Tensor global_norm(const std::vector<at::Tensor>& gradients) {
  if (gradients.empty()) return at::zeros({});
  const auto norm = norm_in(c10::kFloat, gradients);
  // From 1.8e19 on, squares overflow in fp32, and the factor would become 0. Reading a norm that is
  // on the CPU costs nothing.
  if (!norm.is_cpu() || std::isfinite(norm.item<double>())) return norm;
  return norm_in(c10::kDouble, gradients);
}

void clip_to_norm_(const std::vector<at::Tensor>& gradients, const at::Tensor& norm,
                   double max_norm) {
  const auto factor = at::full_like(norm, max_norm).div_(norm.add(1e-6)).clamp_max(1.0);
  for (auto gradient : gradients) gradient.mul_(factor.to(gradient.device()));
}

}  // namespace amp::train_step
