// Constant-factor gradient scaling.
#include <ATen/ops/_foreach_mul.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <sstream>
#include <unordered_set>
#include <vector>

#include "amp/error.h"
#include "amp/grad_scaler.h"

namespace amp {
namespace {

void check(const at::Tensor& gradient, std::size_t index) {
  if (gradient.is_floating_point() &&
      (gradient.layout() == c10::kStrided || gradient.layout() == c10::kSparse)) {
    return;
  }
  std::ostringstream message;
  message << "scale_grad_: the gradient of parameter " << index << " (shape " << gradient.sizes()
          << ", " << gradient.scalar_type() << ", " << gradient.layout()
          << ") cannot be scaled; it must be floating-point, dense or sparse COO";
  throw InvalidArgument(message.str());
}

}  // namespace

void scale_grad_(at::TensorList parameters, double factor) {
  if (!std::isfinite(factor)) {
    throw InvalidArgument("scale_grad_: the factor must be finite, got " + std::to_string(factor));
  }
  std::vector<at::Tensor> gradients;
  gradients.reserve(parameters.size());
  std::unordered_set<const c10::TensorImpl*> seen;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!parameters[i].defined()) continue;
    const auto& gradient = parameters[i].grad();
    if (!gradient.defined() || !seen.insert(gradient.unsafeGetTensorImpl()).second) continue;
    check(gradient, i);
    gradients.push_back(gradient.is_sparse() ? gradient._values() : gradient);
  }
  if (gradients.empty()) return;
  c10::NoGradGuard no_grad;
  at::_foreach_mul_(gradients, factor);
}

}  // namespace amp
