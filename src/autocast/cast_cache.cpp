// The thread's cache of cast weights.
#include "src/autocast/cast_cache.h"

#include <ATen/autocast_mode.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/FunctionRef.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>

#include "src/autocast/emulation.h"
#include "src/autocast/weight_cast.h"
#include "src/optim/weight_copies.h"
#include "src/tensor_lists/weight_state.h"

namespace amp::autocast {
namespace {

constexpr std::size_t kFirstSweep = 64;

struct Key {
  const c10::TensorImpl* tensor;
  c10::ScalarType dtype;
  std::optional<Format> rounded_to;  // with a dtype of Float
  bool operator==(const Key& other) const = default;
};

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    const std::size_t format =
        key.rounded_to.has_value() ? static_cast<std::size_t>(*key.rounded_to) + 1 : 0;
    return std::hash<const void*>()(key.tensor) ^ (static_cast<std::size_t>(key.dtype) << 1) ^
           (format << 8);
  }
};

struct Entry {
  Entry(const at::Tensor& weight, at::Tensor made)
      : state(weight),
        cast(std::move(made)),
        cast_version(cast._version()),
        made_at(optim::weight_copies::clock()) {}

  // A cast is valid only if it was made after the last look at the whole weight. Its version
  // matters, too: some ops return their argument or a view of it, and a write there goes into the
  // cast.
  bool is_cast_of(const at::Tensor& weight) const {
    return state.holds(weight) && cast._version() == cast_version &&
           made_at >= optim::weight_copies::checks_begun();
  }

  tensor_lists::WeightState state;
  at::Tensor cast;  // of no graph
  std::int64_t cast_version;
  std::uint64_t made_at;
};

struct Cache {
  int depth = 0;  // regions of this thread that are open
  std::unordered_map<Key, Entry, KeyHash> entries;
  std::size_t next_sweep = kFirstSweep;  // at so many entries

  // Drops the casts of weights that are gone. In one long region nobody looks up a weight that was
  // replaced.
  void sweep() {
    std::erase_if(entries, [](const auto& item) { return !item.second.state.is_in_use(); });
    next_sweep = std::max(kFirstSweep, 2 * entries.size());
  }
};

Cache& cache() {
  thread_local Cache cache;
  return cache;
}

bool is_weight(const at::Tensor& tensor) {
  return tensor.scalar_type() == c10::kFloat && tensor.requires_grad() && tensor.is_leaf() &&
         !tensor.is_view() && !tensor.is_neg();
}

// Whether `view` reads the numbers of base.t(), in the same memory and with the same signs.
// set_data may have given the base other memory since.
bool is_transposed(const at::Tensor& view, const at::Tensor& base) {
  return base.dim() == 2 && view.size(0) == base.size(1) && view.size(1) == base.size(0) &&
         view.stride(0) == base.stride(1) && view.stride(1) == base.stride(0) &&
         view.scalar_type() == base.scalar_type() && !view.is_neg() &&
         view.const_data_ptr() == base.const_data_ptr();
}

// Makes the cast of a weight, without a graph, and sets its second argument to whether the cast was
// there already.
using Make = c10::function_ref<at::Tensor(const at::Tensor&, bool*)>;

at::Tensor kept_of_weight(const Key& key, const at::Tensor& weight, Make make, bool* served) {
  auto& entries = cache().entries;
  if (const auto found = entries.find(key); found != entries.end()) {
    if (found->second.is_cast_of(weight)) {
      if (served != nullptr) *served = true;
      return found->second.cast;
    }
    entries.erase(found);
  }
  if (entries.size() >= cache().next_sweep) cache().sweep();
  return entries.emplace(key, Entry(weight, make(weight, served))).first->second.cast;
}

bool keeps_casts() { return cache().depth > 0 && at::autocast::is_autocast_cache_enabled(); }

// The weight that a plain tensor is, or whose transposed view it is; undefined if it is neither.
// The view need not belong to the weight's graph, because the cast uses the view's own edge.
struct Found {
  at::Tensor weight;
  bool transposed = false;
};
Found weight_behind(const at::Tensor& tensor) {
  if (is_weight(tensor)) return {tensor};
  if (tensor.dim() == 2 && tensor.is_view()) {
    const at::Tensor base(tensor._base());
    if (is_plain(base) && is_weight(base) && is_transposed(tensor, base)) return {base, true};
  }
  return {};
}

// A use of the kept cast of a weight or of its transposed view; undefined for another tensor.
at::Tensor kept_cast(c10::ScalarType dtype, std::optional<Format> format, const at::Tensor& tensor,
                     Make make, bool* served) {
  const auto [weight, transposed] = weight_behind(tensor);
  if (!weight.defined()) return {};
  const auto cast =
      kept_of_weight({weight.unsafeGetTensorImpl(), dtype, format}, weight, make, served);
  return use_of(tensor, cast, transposed);
}

}  // namespace

bool is_plain(const at::Tensor& tensor) {
  constexpr c10::DispatchKeySet wrappers(
      {c10::DispatchKey::FuncTorchBatched, c10::DispatchKey::FuncTorchGradWrapper,
       c10::DispatchKey::Functionalize, c10::DispatchKey::Python});
  return !tensor.key_set().has_any(wrappers) && tensor.has_storage() && !tensor.is_inference() &&
         !c10::InferenceMode::is_enabled() && !tensor._fw_grad(/*level=*/0).defined() &&
         !c10::impl::tls_is_dispatch_key_included(c10::DispatchKey::Tracer);
}

at::Tensor cached_cast(c10::ScalarType dtype, const at::Tensor& tensor, bool* served) {
  if (tensor.scalar_type() == dtype) return tensor;
  if (!keeps_casts() || dtype == c10::kFloat || !is_plain(tensor)) return tensor.to(dtype);
  const auto make = [dtype](const at::Tensor& weight, bool* was_there) {
    return data_of(weight, dtype, was_there);
  };
  const auto kept = kept_cast(dtype, {}, tensor, make, served);
  return kept.defined() ? kept : tensor.to(dtype);
}

at::Tensor cached_rounding(Format format, const at::Tensor& tensor, bool* served) {
  const auto make = [format](const at::Tensor& weight, bool*) {
    return rounded_operand(format, weight.detach());
  };
  at::Tensor kept;
  if (keeps_casts() && is_plain(tensor) && !stays_as_it_is(format, tensor))
    kept = kept_cast(c10::kFloat, format, tensor, make, served);
  return kept.defined() ? kept : rounded_operand(format, tensor);
}

void enter_region() {
  if (cache().depth++ == 0) optim::weight_copies::begin_checks();
}

void leave_region() {
  auto& mine = cache();
  if (--mine.depth == 0) mine.entries.clear();
}

void clear_casts() {
  cache().entries.clear();
  optim::weight_copies::begin_checks();
  at::autocast::clear_cache();
}

void forget_casts_of(const at::Tensor& tensor) {
  optim::weight_copies::forget(tensor);
  std::erase_if(cache().entries, [&](const auto& item) {
    return item.first.tensor == tensor.unsafeGetTensorImpl();
  });
}

}  // namespace amp::autocast
