// The thread's cache of cast weights.
#include "src/autocast/cast_cache.h"

#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>
#include <vector>

namespace amp::autocast {
namespace {

constexpr std::size_t kSamples = 32;
// Weights that were replaced within one long region are found by nobody; then all are dropped.
constexpr std::size_t kMostEntries = 4096;

using Weak = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
using Fingerprint = std::array<std::uint32_t, kSamples>;

struct Key {
  const c10::TensorImpl* tensor;
  c10::ScalarType dtype;
  bool operator==(const Key& other) const = default;
};

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    return std::hash<const void*>()(key.tensor) ^ (static_cast<std::size_t>(key.dtype) << 1);
  }
};

struct Entry {
  Weak source;
  std::int64_t version;
  const void* data;
  std::vector<std::int64_t> sizes, strides;
  Fingerprint fingerprint;
  at::Tensor copy;
};

struct Cache {
  int depth = 0;  // regions of this thread that are open
  std::unordered_map<Key, Entry, KeyHash> entries;
};

Cache& cache() {
  thread_local Cache cache;
  return cache;
}

// 32 elements spread over a contiguous or dense fp32 tensor, as they lie in memory; zeros elsewhere
// than on the CPU, where reading would wait.
Fingerprint fingerprint_of(const at::Tensor& tensor) {
  Fingerprint bits{};
  if (!tensor.is_cpu() || !tensor.is_non_overlapping_and_dense()) return bits;
  const auto* data = static_cast<const char*>(tensor.const_data_ptr());
  const auto count = static_cast<std::size_t>(tensor.numel());
  const auto samples = std::min(count, kSamples);
  for (std::size_t i = 0; i < samples; ++i) {
    // The first and the last are among them.
    const auto element = samples == 1 ? 0 : i * (count - 1) / (samples - 1);
    std::memcpy(&bits[i], data + element * sizeof(float), sizeof(float));
  }
  return bits;
}

bool holds(const Entry& entry, const at::Tensor& tensor) {
  return !entry.source.expired() && entry.version == tensor._version() &&
         entry.data == tensor.const_data_ptr() && tensor.sizes().equals(entry.sizes) &&
         tensor.strides().equals(entry.strides) && entry.fingerprint == fingerprint_of(tensor);
}

bool is_weight(const at::Tensor& tensor) {
  return tensor.scalar_type() == c10::kFloat && tensor.requires_grad() && tensor.is_leaf() &&
         !tensor.is_view();
}

// Whether `view` is base.t().
bool is_transposed(const at::Tensor& view, const at::Tensor& base) {
  return base.dim() == 2 && view.size(0) == base.size(1) && view.size(1) == base.size(0) &&
         view.stride(0) == base.stride(1) && view.stride(1) == base.stride(0) &&
         view.storage_offset() == base.storage_offset();
}

at::Tensor cast_of_weight(c10::ScalarType dtype, const at::Tensor& weight, bool* served) {
  auto& entries = cache().entries;
  const Key key{weight.unsafeGetTensorImpl(), dtype};
  if (const auto found = entries.find(key); found != entries.end()) {
    if (holds(found->second, weight)) {
      if (served != nullptr) *served = true;
      return found->second.copy;
    }
    entries.erase(found);
  }
  if (entries.size() >= kMostEntries) entries.clear();
  at::Tensor copy;
  {
    const c10::AutoGradMode record(true);
    copy = weight.to(dtype);
  }
  Entry entry{Weak(weight.getIntrusivePtr()),
              weight._version(),
              weight.const_data_ptr(),
              weight.sizes().vec(),
              weight.strides().vec(),
              fingerprint_of(weight),
              copy};
  entries.emplace(key, std::move(entry));
  return copy;
}

}  // namespace

bool is_plain(const at::Tensor& tensor) {
  constexpr c10::DispatchKeySet wrappers(
      {c10::DispatchKey::FuncTorchBatched, c10::DispatchKey::FuncTorchGradWrapper,
       c10::DispatchKey::Functionalize, c10::DispatchKey::Python});
  return !tensor.key_set().has_any(wrappers) && tensor.has_storage() && !tensor.is_inference() &&
         !c10::InferenceMode::is_enabled() &&
         !c10::impl::tls_is_dispatch_key_included(c10::DispatchKey::Tracer);
}

at::Tensor cached_cast(c10::ScalarType dtype, const at::Tensor& tensor, bool* served) {
  if (tensor.scalar_type() == dtype) return tensor;
  const bool keeps = cache().depth > 0 && at::autocast::is_autocast_cache_enabled();
  if (!keeps || dtype == c10::kFloat || !is_plain(tensor)) return tensor.to(dtype);
  if (is_weight(tensor)) return cast_of_weight(dtype, tensor, served);
  if (tensor.dim() == 2 && tensor.is_view()) {
    const at::Tensor base(tensor._base());
    if (is_plain(base) && is_weight(base) && is_transposed(tensor, base))
      return cast_of_weight(dtype, base, served).t();
  }
  return tensor.to(dtype);
}

void enter_region() { ++cache().depth; }

void leave_region() {
  auto& mine = cache();
  if (--mine.depth == 0) mine.entries.clear();
}

void clear_casts() {
  cache().entries.clear();
  at::autocast::clear_cache();
}

void forget_casts_of(const at::Tensor& tensor) {
  std::erase_if(cache().entries, [&](const auto& item) {
    return item.first.tensor == tensor.unsafeGetTensorImpl();
  });
}

}  // namespace amp::autocast
