// The gradients of a step.
#include "src/optim/gradients.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <unordered_set>

#include "src/optim/same_kind.h"

namespace amp::optim {
namespace {

// Separates gradients that two parameters share. If one were written in place for the first
// parameter, it would be read unscaled for the second.
void separate_shared_gradients(std::vector<Entry>& entries) {
  thread_local std::vector<const c10::TensorImpl*> seen;
  seen.clear();
  for (const auto& entry : entries) seen.push_back(entry.gradient.unsafeGetTensorImpl());
  std::sort(seen.begin(), seen.end());
  if (std::adjacent_find(seen.begin(), seen.end()) == seen.end()) return;
  std::unordered_set<const c10::TensorImpl*> first;
  for (auto& entry : entries) {
    if (first.insert(entry.gradient.unsafeGetTensorImpl()).second) continue;
    entry.gradient = entry.gradient.clone();
    entry.give_back = false;
  }
}

}  // namespace

void collect_gradients(const Algorithm& algorithm, std::vector<Slot>& slots, bool give_back,
                       std::vector<Entry>& entries) {
  entries.clear();
  for (auto& slot : slots) {
    const auto& gradient = slot.parameter.grad();
    if (!gradient.defined()) continue;
    check_gradient(algorithm, slot, gradient);
    entries.push_back({&slot, gradient, give_back});
  }
  if (give_back) separate_shared_gradients(entries);
}

void give_back(Entry& entry, const at::Tensor& used) {
  auto& gradient = entry.slot->parameter.mutable_grad();
  const bool is_half = entry.gradient.scalar_type() == c10::kHalf;
  if (is_half || !entry.gradient.is_non_overlapping_and_dense()) {
    gradient = used;
  } else if (used.is_same(entry.gradient)) {  // the kernels wrote it, unseen by autograd
    raise_version(gradient);
  } else {
    gradient.copy_(used);
  }
}

void scale_sparse_gradient(Entry& entry, const at::Tensor& inv_scale, const at::Tensor& clip) {
  auto factor = inv_scale.defined() ? inv_scale : at::full({}, 1.0, c10::kFloat);
  if (clip.defined()) factor = factor * clip;
  auto& gradient = entry.slot->parameter.mutable_grad();
  // fp16 duplicates could overflow when they are summed.
  if (entry.gradient.scalar_type() == c10::kHalf)
    gradient = entry.gradient.to(c10::kFloat).coalesce();
  gradient._values().mul_(factor.to(gradient.device()));
}

}  // namespace amp::optim
