// The buffers of a model as they were before a step that may be skipped.
#include "src/train_step/kept_buffers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/where.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "src/optim/low_precision.h"

namespace amp::train_step {
namespace {

const void* data_of(const at::Tensor& tensor) {
  return tensor.layout() == c10::kStrided && tensor.has_storage() ? tensor.const_data_ptr()
                                                                  : nullptr;
}

// Whether both have the same layout in the CPU's memory, without gaps; then memcpy will do. One
// call of ATen takes as long as copying the statistics of ten batch norms.
bool lie_alike(const at::Tensor& a, const at::Tensor& b) {
  return a.is_cpu() && b.is_cpu() && a.layout() == c10::kStrided && b.layout() == c10::kStrided &&
         a.has_storage() && b.has_storage() && a.scalar_type() == b.scalar_type() &&
         a.sizes() == b.sizes() && a.strides() == b.strides() && a.is_non_overlapping_and_dense();
}

bool are_alike(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && a.device() == b.device() &&
         a.layout() == b.layout();
}

void copy_into(const at::Tensor& target, const at::Tensor& source) {
  if (!lie_alike(target, source)) {
    const c10::InferenceMode writable(target.is_inference() || c10::InferenceMode::is_enabled());
    target.copy_(source);
    return;
  }
  std::memcpy(target.mutable_data_ptr(), source.const_data_ptr(), source.nbytes());
}

bool have_same_bits(const at::Tensor& a, const at::Tensor& b) {
  return lie_alike(a, b) && std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

// Buffers of one device and dtype, for few calls over many.
struct Alike {
  std::vector<at::Tensor> now, kept;

  void put_back_where(const at::Tensor& is_set) {
    const auto flat = [](const std::vector<at::Tensor>& tensors) {
      std::vector<at::Tensor> parts;
      for (const auto& tensor : tensors) parts.push_back(tensor.reshape(-1));
      return at::cat(parts);
    };
    const auto chosen = at::where(is_set, flat(kept), flat(now));
    std::vector<at::Tensor> values;
    std::int64_t first = 0;
    for (const auto& tensor : now) {
      values.push_back(chosen.narrow(0, first, tensor.numel()).view(tensor.sizes()));
      first += tensor.numel();
    }
    at::_foreach_copy_(now, values);
  }
};

}  // namespace

bool KeptBuffers::Kept::is_copied_always() const { return changes || tensor.nbytes() <= kSmall; }

bool KeptBuffers::Kept::is_as_copied(const at::Tensor& now) const {
  return tensor.is_same(now) && copy.defined() && version == optim::version_of(now) &&
         data == data_of(now) && are_alike(now, copy);
}

void KeptBuffers::Kept::keep() {
  const auto now = place.tensor();
  if (!now.defined()) {
    tensor = copy = now;
    return;
  }
  const bool is_new = !tensor.defined() || !tensor.is_same(now);
  if (is_new) changes = false;
  if (!is_new && !is_copied_always()) {
    if (is_as_copied(now)) return;
    changes = true;
  }
  tensor = now;
  if (copy.defined() && copy.use_count() == 1 && lie_alike(copy, now))
    copy_into(copy, now);
  else
    copy = now.detach().clone();
  version = optim::version_of(now);
  data = data_of(now);
}

void KeptBuffers::Kept::put_back() {
  if (!tensor.defined()) return;
  if (!place.tensor().is_same(tensor)) place.put(tensor);
  if (!is_copied_always() && is_as_copied(tensor)) return;
  if (!are_alike(tensor, copy)) {
    tensor.set_data(copy.clone());
    return;
  }
  if (have_same_bits(tensor, copy)) return;
  copy_into(tensor, copy);
  if (!tensor.is_inference()) tensor.unsafeGetTensorImpl()->bump_version();
}

void KeptBuffers::watch(std::vector<BufferPlace> places) {
  std::vector<Kept> kept;
  std::unordered_set<const c10::TensorImpl*> seen;
  for (auto& place : places) {
    const auto now = place.tensor();
    if (now.defined() && !seen.insert(now.unsafeGetTensorImpl()).second) continue;
    const auto known = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& one) {
      return one.tensor.defined() && one.tensor.is_same(now);
    });
    if (known == kept_.end()) {
      kept.push_back({.place = std::move(place)});
      continue;
    }
    kept.push_back(std::move(*known));
    known->tensor.reset();
  }
  kept_ = std::move(kept);
}

void KeptBuffers::keep() {
  const c10::NoGradGuard no_grad;
  for (auto& kept : kept_) kept.keep();
  note_end();
}

void KeptBuffers::note_end() {
  for (auto& kept : kept_) {
    const auto now = kept.place.tensor();
    if (!now.defined()) continue;
    kept.end_version = optim::version_of(now);
    kept.end_data = data_of(now);
  }
}

void KeptBuffers::keep_others() {
  const c10::NoGradGuard no_grad;
  for (auto& kept : kept_) {
    const auto now = kept.place.tensor();
    if (!now.defined()) continue;
    if (kept.end_version != optim::version_of(now) || kept.end_data != data_of(now)) kept.keep();
  }
  note_end();
}

void KeptBuffers::put_back() {
  const c10::NoGradGuard no_grad;
  for (auto& kept : kept_) kept.put_back();
}

void KeptBuffers::put_back_where(const at::Tensor& flag) {
  const c10::NoGradGuard no_grad;
  std::vector<std::pair<std::pair<c10::Device, c10::ScalarType>, Alike>> groups;
  for (auto& kept : kept_) {
    if (!kept.tensor.defined() || kept.tensor.layout() != c10::kStrided) continue;
    const auto now = kept.place.tensor();
    if (!kept.is_copied_always() && kept.is_as_copied(now)) continue;
    if (!now.defined() || !are_alike(now, kept.copy)) continue;
    const std::pair key(now.device(), now.scalar_type());
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const auto& item) { return item.first == key; });
    if (group == groups.end()) group = groups.insert(group, {key, {}});
    group->second.now.push_back(now.detach());
    group->second.kept.push_back(kept.copy);
  }
  for (auto& [key, alike] : groups)
    alike.put_back_where(flag.to(key.first, /*non_blocking=*/true).ne(0));
}

}  // namespace amp::train_step
