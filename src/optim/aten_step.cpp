// The passes of a step by ATen: the gradients.
#include "src/optim/aten_step.h"

#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include "src/optim/gradients.h"
#include "src/optim/same_kind.h"

namespace amp::optim {
namespace {

const at::Tensor& gradient_of(const AtenStep::Item& item) { return item.gradient; }

at::Tensor l2_norm(const std::vector<at::Tensor>& norms) {
  return norms.size() == 1 ? norms[0] : at::linalg_vector_norm(at::stack(norms));
}

}  // namespace

void AtenStep::begin(std::vector<Entry>& entries, const at::Tensor& inv_scale) {
  items_.clear();
  ListCopy widened;
  for (auto& entry : entries) {
    if (entry.by_kernels) continue;
    const auto parameter = entry.slot->parameter.detach();
    const auto dtype = arithmetic_dtype(parameter);
    auto given = entry.given.detach();
    if (given.is_sparse()) given = given.to(dtype).to_dense();
    const bool in_order = given.strides() == parameter.strides();
    if (in_order && given.scalar_type() == dtype) {
      items_.push_back({&entry, given, false});
      continue;
    }
    const auto own = at::empty_like(parameter, parameter.options().dtype(dtype));
    items_.push_back({&entry, own, true});
    if (in_order)
      widened.add(own, given);
    else
      own.copy_(given);
  }
  widened.run();
  if (inv_scale.defined()) multiply(inv_scale);
}

void AtenStep::multiply(const at::Tensor& factor) {
  for (const auto& [device, dtype, places] : by_kind(items_, gradient_of)) {
    const auto here = factor.to(device, dtype, /*non_blocking=*/true);
    std::vector<at::Tensor> own, given;
    for (const auto i : places) (items_[i].own ? own : given).push_back(items_[i].gradient);
    if (!own.empty()) at::_foreach_mul_(own, here);
    if (given.empty()) continue;
    const auto products = at::_foreach_mul(given, here);
    auto product = products.begin();
    for (const auto i : places) {
      if (items_[i].own) continue;
      items_[i].gradient = *product++;
      items_[i].own = true;
    }
  }
}

at::Tensor AtenStep::norm() const {
  std::vector<at::Tensor> norms;
  for (const auto& kind : by_kind(items_, gradient_of)) {
    std::vector<at::Tensor> list;
    for (const auto i : kind.places) list.push_back(items_[i].gradient);
    // In fp64 the squares of fp32 numbers do not overflow.
    norms.push_back(
        on_device(l2_norm(at::_foreach_norm(list, 2, c10::kDouble)), items_[0].gradient.device()));
  }
  return l2_norm(norms);
}

void AtenStep::add_non_finite(std::vector<at::Tensor>& parameters) const {
  for (const auto& item : items_) {
    if (item.gradient.is_cpu() && !item.gradient.isfinite().all().item<bool>())
      parameters.push_back(item.entry->slot->parameter);
  }
}

void AtenStep::give_back(const at::Tensor& factor) {
  ListCopy copies;
  for (auto& item : items_) {
    if (!item.entry->give_back) continue;
    const auto& given = item.entry->given;
    const bool is_alike = !given.is_sparse() && given.scalar_type() != c10::kHalf &&
                          given.strides() == item.gradient.strides();
    if (!is_alike)
      optim::give_back(*item.entry, item.gradient, factor);
    else if (item.own)
      copies.add(given, item.gradient);
  }
  copies.run();
}

}  // namespace amp::optim
