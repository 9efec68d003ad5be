// The gradients of a step.
#include "src/optim/gradients.h"

#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <unordered_set>

#include "src/optim/aten_path.h"
#include "src/tensor_lists/operands.h"

namespace amp::optim {
namespace {

// Whether the elements of both lie in the same order; the stride of a dimension of 1 means nothing.
bool same_order(const at::Tensor& a, const at::Tensor& b) {
  const auto sizes = a.sizes(), first = a.strides(), second = b.strides();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] != 1 && first[i] != second[i]) return false;
  }
  return true;
}

bool takes_kernels(const at::Tensor& parameter) {
  return parameter.is_cpu() && tensor_lists::has_format(parameter.scalar_type()) &&
         aten_path() == AtenPath::where_needed;
}

at::Tensor in_order_of(const at::Tensor& parameter, const at::Tensor& values,
                       c10::ScalarType dtype) {
  const auto like = parameter.detach();
  auto ordered = at::empty_like(like, like.options().dtype(dtype));
  return ordered.copy_(values);
}

void make_readable(Entry& entry) {
  const auto& parameter = entry.slot->parameter;
  const auto& given = entry.given;
  if (given.is_sparse()) {
    entry.read = in_order_of(parameter, given.to(c10::kFloat).to_dense(), c10::kFloat);
    return;
  }
  const auto dtype = given.scalar_type();
  const bool readable = tensor_lists::has_format(dtype);
  entry.read = readable && same_order(parameter, given)
                   ? given
                   : in_order_of(parameter, given, readable ? dtype : c10::kFloat);
  if (!entry.give_back) return;
  if (dtype != c10::kHalf) {
    entry.unscaled = entry.read;
    return;
  }
  const auto like = parameter.detach();
  entry.unscaled = at::empty_like(like, like.options().dtype(c10::kFloat));
}

// Separates gradients that two parameters share. If one were written in place for the first
// parameter, it would be read unscaled for the second.
void part_shared_gradients(std::vector<Entry>& entries) {
  thread_local std::vector<const c10::TensorImpl*> seen;
  seen.clear();
  for (const auto& entry : entries) seen.push_back(entry.given.unsafeGetTensorImpl());
  std::sort(seen.begin(), seen.end());
  if (std::adjacent_find(seen.begin(), seen.end()) == seen.end()) return;
  std::unordered_set<const c10::TensorImpl*> first;
  for (auto& entry : entries) {
    if (first.insert(entry.given.unsafeGetTensorImpl()).second) continue;
    entry.given = entry.given.clone();
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
    entries.push_back({&slot, gradient, takes_kernels(slot.parameter), give_back, {}, {}});
  }
  if (give_back) part_shared_gradients(entries);
  for (auto& entry : entries) {
    if (entry.by_kernels) make_readable(entry);
  }
}

void give_back(Entry& entry, const at::Tensor& used, const at::Tensor& factor) {
  auto& gradient = entry.slot->parameter.mutable_grad();
  const bool is_half = entry.given.scalar_type() == c10::kHalf;
  if (entry.given.is_sparse()) {
    // fp16 duplicates could overflow when they are summed.
    if (is_half) gradient = entry.given.to(c10::kFloat).coalesce();
    gradient._values().mul_(factor.to(gradient.device()));
  } else if (is_half || !entry.given.is_non_overlapping_and_dense()) {
    gradient = used;
  } else if (used.is_same(entry.given)) {  // the kernels wrote it, unseen by autograd
    if (!gradient.is_inference()) gradient.unsafeGetTensorImpl()->bump_version();
  } else {
    gradient.copy_(used);
  }
}

}  // namespace amp::optim
