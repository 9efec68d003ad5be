// The passes of a step by ATen: the gradients.
#include "src/optim/aten_step.h"

#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "src/optim/gradients.h"
#include "src/optim/same_kind.h"
#include "src/optim/unscaled_range.h"

namespace amp::optim {
namespace {

const at::Tensor& gradient_of(const AtenStep::Item& item) { return item.gradient; }

at::Tensor l2_norm(const std::vector<at::Tensor>& norms) {
  return norms.size() == 1 ? norms[0] : at::linalg_vector_norm(at::stack(norms));
}

// The largest magnitude of all; NaN if one of them is NaN.
at::Tensor largest(const std::vector<at::Tensor>& gradients) {
  std::vector<at::Tensor> found;
  for (const auto& gradient : gradients) {
    if (gradient.numel() > 0) found.push_back(gradient.abs().max());
  }
  return found.empty() ? at::zeros({}, gradients[0].options()) : at::stack(found).max();
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
  scaled_ = inv_scale.defined();
  if (scaled_) multiply(inv_scale);
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

AtenStep::Seen AtenStep::look(bool go_back) const {
  const auto device = items_[0].gradient.device();
  std::vector<at::Tensor> norms;
  at::Tensor non_finite;
  const auto add = [&](const at::Tensor& flag) {
    const auto here = on_device(flag, device);
    non_finite = non_finite.defined() ? non_finite.logical_or(here) : here;
  };
  for (const auto& kind : by_kind(items_, gradient_of)) {
    std::vector<at::Tensor> list, in_bf16;
    for (const auto i : kind.places) {
      list.push_back(items_[i].gradient);
      if (scaled_ && is_stored_in_bf16(*items_[i].entry, go_back))
        in_bf16.push_back(items_[i].gradient);
    }
    // In fp64 the squares of fp32 numbers do not overflow. Those of fp64 ones can.
    norms.push_back(on_device(l2_norm(at::_foreach_norm(list, 2, c10::kDouble)), device));
    add((kind.dtype == c10::kDouble ? largest(list) : norms.back()).isfinite().logical_not());
    if (!in_bf16.empty()) add(largest(in_bf16).ge(kInfInBf16));
  }
  return {l2_norm(norms), non_finite};
}

void AtenStep::add_non_finite(std::vector<at::Tensor>& parameters, bool go_back) const {
  for (const auto& item : items_) {
    if (!item.gradient.is_cpu()) continue;
    const auto stored =
        is_stored_in_bf16(*item.entry, go_back) ? item.gradient.to(c10::kBFloat16) : item.gradient;
    if (!stored.isfinite().all().item<bool>()) parameters.push_back(item.entry->slot->parameter);
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
