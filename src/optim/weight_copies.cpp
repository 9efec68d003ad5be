// A registry of the copies, by the address of the parameter they belong to.
#include "src/optim/weight_copies.h"

#include <ATen/ops/empty_like.h>

#include <atomic>
#include <mutex>
#include <unordered_map>

namespace amp::optim::weight_copies {
namespace {

struct Copy {
  c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl> parameter;
  c10::ScalarType dtype;
  at::Tensor tensor;
  std::uint32_t version = 0;  // the parameter's, when the copy was written
};

struct Registry {
  std::mutex mutex;
  std::unordered_map<const c10::TensorImpl*, Copy> copies;
  std::atomic<std::size_t> size = 0;  // read without the lock: mostly there are none
};

Registry& registry() {
  static auto* const kept = new Registry;  // parameters may die after statics do
  return *kept;
}

// Null if there is none, or the address is another tensor's by now. Under the lock.
Copy* find(Registry& all, const at::Tensor& parameter) {
  const auto found = all.copies.find(parameter.unsafeGetTensorImpl());
  if (found == all.copies.end()) return nullptr;
  if (!found->second.parameter.expired()) return &found->second;
  all.copies.erase(found);
  all.size = all.copies.size();
  return nullptr;
}

}  // namespace

void request(const at::Tensor& parameter, c10::ScalarType dtype) {
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  auto* copy = find(all, parameter);
  if (copy != nullptr && copy->dtype == dtype) return;
  Copy wanted{decltype(Copy::parameter)(parameter.getIntrusivePtr()), dtype, {}};
  all.copies.insert_or_assign(parameter.unsafeGetTensorImpl(), std::move(wanted));
  all.size = all.copies.size();
}

at::Tensor copy_to_write(const at::Tensor& parameter) {
  auto& all = registry();
  if (all.size == 0) return {};
  const std::lock_guard lock(all.mutex);
  auto* copy = find(all, parameter);
  if (copy == nullptr) return {};
  const auto& kept = copy->tensor;
  const bool usable = kept.defined() && kept.use_count() == 1 && kept.storage().use_count() == 1 &&
                      kept.sizes() == parameter.sizes() && kept.strides() == parameter.strides();
  if (!usable) {
    const auto like = parameter.detach();
    copy->tensor = at::empty_like(like, like.options().dtype(copy->dtype));
  }
  return copy->tensor;
}

void written(const at::Tensor& parameter) {
  auto& all = registry();
  if (all.size == 0) return;
  const std::lock_guard lock(all.mutex);
  if (auto* copy = find(all, parameter))
    copy->version = parameter.unsafeGetTensorImpl()->version_counter().current_version();
}

}  // namespace amp::optim::weight_copies
