// The gradients that were there before a call that may fail.
#include "src/train_step/kept_gradients.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_lazy_clone.h>
#include <ATen/ops/add.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/COW.h>

#include <utility>

#include "src/train_step/backward_graph.h"

namespace amp::train_step {
namespace {

// Shares memory that is copied on the first write. LibTorch can share only memory of its own
// allocators, and its CUDA kernels over lists of tensors do not announce their writes.
bool can_share(const at::Tensor& gradient) {
  if (!gradient.is_cpu() || gradient.layout() != c10::kStrided || !gradient.has_storage())
    return false;
  const auto& storage = *gradient.storage().unsafeGetStorageImpl();
  return c10::impl::cow::has_simple_data_ptr(storage) ||
         c10::impl::cow::is_cow_data_ptr(storage.data_ptr());
}

at::Tensor copy_of(const at::Tensor& gradient) {
  const auto values = gradient.detach();
  return can_share(values) ? at::_lazy_clone(values) : values.clone();
}

bool is_unchanged(const at::Tensor& gradient, const at::Tensor& copy) {
  return gradient.is_cpu() && gradient.layout() == c10::kStrided &&
         gradient.const_data_ptr() == copy.const_data_ptr() && gradient.sizes() == copy.sizes() &&
         gradient.strides() == copy.strides();
}

bool is_dense(const at::Tensor& tensor) { return tensor.layout() == c10::kStrided; }

// `more` may be written to if nothing else lies in its memory.
at::Tensor sum_of(const at::Tensor& old, at::Tensor more) {
  const bool alike = is_dense(old) && is_dense(more) && old.scalar_type() == more.scalar_type();
  if (alike && more.storage().use_count() == 1 && more.is_non_overlapping_and_dense())
    return more.add_(old);
  // A sparse tensor takes no dense one.
  return !is_dense(old) && is_dense(more) ? at::add(more, old) : at::add(old, more);
}

}  // namespace

void KeptGradients::watch(const std::vector<at::Tensor>& parameters, std::size_t stepped) {
  kept_.clear();
  places_.clear();
  stepped_ = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!places_.emplace(parameters[i].unsafeGetTensorImpl(), kept_.size()).second) continue;
    kept_.push_back({parameters[i]});
    if (i < stepped) stepped_ = kept_.size();
  }
  watched_ = kept_.size();
}

bool KeptGradients::is_stepped(const at::Tensor& parameter) const {
  const auto found = places_.find(parameter.unsafeGetTensorImpl());
  return found != places_.end() && found->second < stepped_;
}

void KeptGradients::keep(Kept& kept) const {
  const auto& gradient = kept.parameter.grad();
  if (!gradient.defined()) return;
  const c10::NoGradGuard no_grad;
  kept.gradient = gradient;
  kept.copy = copy_of(gradient);
}

void KeptGradients::keep() {
  drop();
  for (auto& kept : kept_) keep(kept);
}

void KeptGradients::keep_leaves(const BackwardGraph& graph) {
  for (const auto& leaf : graph.leaves()) {
    const auto& variable = leaf.variable();
    if (!places_.emplace(variable.unsafeGetTensorImpl(), kept_.size()).second) continue;
    kept_.push_back({variable});
    keep(kept_.back());
  }
}

void KeptGradients::put_back() {
  const c10::NoGradGuard no_grad;
  for (auto& kept : kept_) {
    auto& gradient = kept.gradient;
    if (gradient.defined() && !is_unchanged(gradient, kept.copy)) {
      if (is_dense(gradient) && gradient.sizes() == kept.copy.sizes())
        gradient.copy_(kept.copy);
      else
        gradient = kept.copy;
    }
    kept.parameter.mutable_grad() = std::move(gradient);
  }
  drop();
}

void KeptGradients::drop() {
  while (kept_.size() > watched_) {
    places_.erase(kept_.back().parameter.unsafeGetTensorImpl());
    kept_.pop_back();
  }
  for (auto& kept : kept_) {
    kept.gradient.reset();
    kept.copy.reset();
    kept.aside.reset();
  }
}

void KeptGradients::copy_shared() {
  const c10::NoGradGuard no_grad;
  for (auto& kept : kept_) {
    const bool may_change = kept.gradient.defined() && kept.parameter.grad().is_same(kept.gradient);
    if (may_change && is_unchanged(kept.gradient, kept.copy))
      kept.copy = kept.gradient.detach().clone();
  }
}

void KeptGradients::move_aside(const BackwardGraph& graph) {
  for (const auto& leaf : graph.leaves()) {
    const auto& variable = leaf.variable();
    auto& kept = kept_[places_.at(variable.unsafeGetTensorImpl())];
    if (kept.gradient.defined()) kept.aside = std::exchange(variable.mutable_grad(), at::Tensor());
  }
}

void KeptGradients::add_what_was_moved() {
  const c10::NoGradGuard no_grad;
  for (auto& kept : kept_) {
    if (!kept.aside.defined()) continue;
    auto& gradient = kept.parameter.mutable_grad();
    gradient = gradient.defined() ? sum_of(kept.aside, gradient) : kept.aside;
    kept.aside.reset();
  }
}

}  // namespace amp::train_step
