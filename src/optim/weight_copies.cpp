// A registry of the copies, by the address of the parameter they belong to.
#include "src/optim/weight_copies.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <sstream>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "amp/error.h"
#include "amp/weight_checks.h"
#include "src/tensor_lists/rounded.h"
#include "src/tensor_lists/weight_state.h"

namespace amp::optim::weight_copies {
namespace {

struct Record {
  tensor_lists::WeightState state;
  int owners = 0;
  std::optional<c10::ScalarType> wanted = {};
  at::Tensor copy = {};
  bool valid = false;  // the copy is one of the parameter in `state`
  std::int64_t copy_version = 0;
  std::uint64_t checked_at = 0;  // when copy and parameter were last known to agree as a whole

  // Some ops return their argument, and a write there goes into the copy.
  bool is_copy_of(const at::Tensor& parameter) const {
    return valid && state.holds(parameter) && copy._version() == copy_version;
  }
  void now_holds(const at::Tensor& parameter) {
    state.refresh(parameter);
    copy_version = copy.defined() ? copy._version() : 0;
    valid = copy.defined() && copy.scalar_type() == wanted;
  }
};

struct Registry {
  std::mutex mutex;
  std::unordered_map<const c10::TensorImpl*, Record> records;
  std::atomic<std::size_t> size =
      0;  // read without the lock: without our optimizers there are none
};

Registry& registry() {
  static auto* const kept = new Registry;  // parameters may die after statics do
  return *kept;
}

std::atomic<WeightChecks> checks_by = WeightChecks::whole;
std::atomic<std::uint64_t> time_now = 0;
thread_local std::uint64_t begun = 0;

// Returns null if nobody owns the parameter, or if the address belongs to another tensor by now.
// The caller holds the lock.
Record* record_of(Registry& all, const at::Tensor& parameter) {
  const auto found = all.records.find(parameter.unsafeGetTensorImpl());
  if (found == all.records.end()) return nullptr;
  if (found->second.state.is_of(parameter)) return &found->second;
  all.records.erase(found);
  all.size = all.records.size();
  return nullptr;
}

// Calls act(record) under the lock, if there is one.
template <typename Act>
void with_record(const at::Tensor& parameter, Act&& act) {
  auto& all = registry();
  if (all.size.load(std::memory_order_acquire) == 0) return;
  const std::lock_guard lock(all.mutex);
  if (auto* record = record_of(all, parameter)) act(*record);
}

bool checks_copies() {
  static const bool checks = [] {
    const char* value = std::getenv("AMP_CHECK_COPIES");
    return value != nullptr && std::string_view(value) == "1";
  }();
  return checks;
}

// Compares bit for bit, except the payload of a NaN: ours and LibTorch's casts give different ones.
void check_whole(const at::Tensor& parameter, const at::Tensor& copy) {
  const c10::NoGradGuard no_grad;
  const auto fresh = parameter.detach().to(copy.scalar_type());
  if (fresh.view(c10::kShort).equal(copy.view(c10::kShort))) return;
  const auto both_nan = fresh.isnan().logical_and(copy.isnan());
  if (fresh.view(c10::kShort).eq(copy.view(c10::kShort)).logical_or(both_nan).all().item<bool>())
    return;
  std::ostringstream message;
  message << "Autocast: the " << copy.scalar_type() << " copy of a weight of shape "
          << parameter.sizes()
          << " is not what the weight casts to: the weight was written without a trace, through a "
             "raw pointer or on a GPU through .data(); call amp::invalidate(weight) after that";
  throw StateError(message.str());
}

}  // namespace

Ownership::Ownership(const at::Tensor& parameter) : parameter_(parameter) {
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  auto* record = record_of(all, parameter);
  if (record == nullptr) {
    record =
        &all.records
             .emplace(parameter.unsafeGetTensorImpl(), Record{tensor_lists::WeightState(parameter)})
             .first->second;
    all.size = all.records.size();
  }
  ++record->owners;
}

Ownership::~Ownership() {
  if (!parameter_.defined()) return;
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  auto* record = record_of(all, parameter_);
  if (record == nullptr || --record->owners > 0) return;
  all.records.erase(parameter_.unsafeGetTensorImpl());
  all.size = all.records.size();
}

bool is_owned(const at::Tensor& parameter) {
  bool owned = false;
  with_record(parameter, [&](Record&) { owned = true; });
  return owned;
}

void begin_checks() {
  if (checks_by.load(std::memory_order_relaxed) == WeightChecks::whole) begun = ++time_now;
}
std::uint64_t checks_begun() { return begun; }
std::uint64_t clock() { return time_now.load(); }

at::Tensor find(const at::Tensor& parameter, c10::ScalarType dtype) {
  at::Tensor copy;
  const auto now = clock();
  bool is_checked = !parameter.is_cpu();
  with_record(parameter, [&](Record& record) {
    if (record.wanted == dtype && record.is_copy_of(parameter)) {
      copy = record.copy;
      is_checked |= record.checked_at >= begun;
    }
    record.wanted = dtype;
  });
  if (!copy.defined()) return copy;
  if (!is_checked) {
    if (!tensor_lists::is_rounded(parameter, copy)) {
      forget(parameter);
      return {};
    }
    with_record(parameter, [&](Record& record) { record.checked_at = now; });
  }
  if (checks_copies()) check_whole(parameter, copy);
  return copy;
}

void adopt(const at::Tensor& parameter, const at::Tensor& cast) {
  if (registry().size.load(std::memory_order_acquire) == 0) return;
  auto copy = cast.detach();  // and let go of the one before, outside of the lock
  with_record(parameter, [&](Record& record) {
    std::swap(record.copy, copy);
    record.wanted = cast.scalar_type();
    record.now_holds(parameter);
    record.checked_at = clock();
  });
}

at::Tensor copy_to_write(const at::Tensor& parameter) {
  at::Tensor copy;
  std::optional<c10::ScalarType> missing;
  with_record(parameter, [&](Record& record) {
    if (!record.wanted.has_value()) return;
    record.valid = false;
    const auto& kept = record.copy;
    const bool usable = kept.defined() && kept.scalar_type() == *record.wanted &&
                        kept.use_count() == 1 && kept.storage().use_count() == 1 &&
                        kept.sizes() == parameter.sizes() && kept.strides() == parameter.strides();
    if (usable) {
      copy = kept;
    } else {
      missing = record.wanted;
    }
  });
  if (!missing.has_value()) return copy;
  const c10::InferenceMode none(false);  // a copy made in it could not be used outside of it
  const auto like = parameter.detach();  // no op is dispatched under the lock
  copy = at::empty_like(like, like.options().dtype(*missing));
  auto kept = copy;
  with_record(parameter, [&](Record& record) { std::swap(record.copy, kept); });
  return copy;
}

void written(const at::Tensor& parameter) {
  with_record(parameter, [&](Record& record) { record.now_holds(parameter); });
}

at::Tensor peek(const at::Tensor& parameter) {
  at::Tensor copy;
  with_record(parameter, [&](Record& record) { copy = record.copy; });
  return copy;
}

std::int64_t bytes_of(const at::Tensor& parameter) {
  std::size_t bytes = 0;
  with_record(parameter, [&](Record& record) {
    if (record.copy.defined()) bytes = record.copy.nbytes();
  });
  return static_cast<std::int64_t>(bytes);
}

void forget(const at::Tensor& parameter) {
  with_record(parameter, [](Record& record) { record.valid = false; });
}

}  // namespace amp::optim::weight_copies

namespace amp {

void set_weight_checks(WeightChecks checks) { optim::weight_copies::checks_by = checks; }
WeightChecks weight_checks() { return optim::weight_copies::checks_by; }

}  // namespace amp
