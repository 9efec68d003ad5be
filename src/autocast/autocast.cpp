// Autocast: saves the thread's autocast state, sets its own, and puts the saved one back.
#include "amp/autocast.h"

#include <ATen/autocast_mode.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "src/autocast/cast_cache.h"
#include "src/autocast/log.h"
#include "src/autocast/region.h"
#include "src/autocast/torchscript.h"
#include "src/cpu_math/single_copy.h"
#include "src/cpu_math/switches.h"
#include "src/op_policy/lists.h"

namespace amp {
namespace {

using Policy = std::shared_ptr<const op_policy::Table>;

void check_device(c10::DeviceType device) {
  if (device == c10::kCPU || device == c10::kCUDA) return;
  throw UnsupportedError("Autocast: device must be CPU or CUDA, got " +
                         c10::DeviceTypeName(device));
}

// Asks the device guard and not ATen, because ATen remembers its first answer for good, and a
// program may load its CUDA library later. A region of an absent device would never meet a tensor.
void check_presence(c10::DeviceType device) {
  if (device == c10::kCPU) return;
  const auto remedy =
      "; use CPU, pass {.enabled = false}, or make CUDA available before (link libtorch_cuda, or "
      "load it, on a machine with a GPU)";
  if (!c10::impl::hasDeviceGuardImpl(device)) {
    throw UnsupportedError(
        std::string("Autocast: device must be present, got CUDA in a process without LibTorch's "
                    "CUDA library") +
        remedy);
  }
  if (c10::impl::getDeviceGuardImpl(device)->deviceCount() == 0)
    throw UnsupportedError(
        std::string("Autocast: device must be present, got CUDA where no GPU is") + remedy);
}

c10::ScalarType checked_dtype(c10::DeviceType device, std::optional<c10::ScalarType> dtype,
                              const AutocastOptions& options) {
  if (options.emulate.has_value()) {
    if (dtype.value_or(c10::kFloat) == c10::kFloat) return c10::kFloat;
    throw InvalidArgument(std::string("Autocast: dtype must be Float to emulate a format, got ") +
                          c10::toString(*dtype) + "; leave it out");
  }
  const auto by_default = device == c10::kCPU ? c10::kBFloat16 : c10::kHalf;
  const auto chosen = dtype.value_or(by_default);
  if (options.enabled && chosen != c10::kBFloat16 && chosen != c10::kHalf) {
    throw InvalidArgument(std::string("Autocast: dtype must be BFloat16 or Half, got ") +
                          c10::toString(chosen) + "; for full precision pass {.enabled = false}");
  }
  return chosen;
}

// States whose guards were destroyed on another thread. Only the thread that made them can end
// them.
struct Lost {
  std::mutex mutex;
  std::vector<std::unique_ptr<Autocast::State>> states;
  std::atomic<bool> any = false;
};

const std::shared_ptr<Lost>& lost_here() {
  thread_local const auto lost = std::make_shared<Lost>();
  return lost;
}

std::shared_ptr<autocast::Region> made_region(c10::DeviceType device, const Policy& policy,
                                              const std::optional<Emulation>& emulate) {
  auto region = std::make_shared<autocast::Region>();
  if (const auto* outer = autocast::current_region()) *region = *outer;
  auto& mine = region->of(device);
  mine.added = autocast::rules_of_added(*policy);
  mine.memory = policy->model == nullptr ? op_policy::Memory() : op_policy::Memory(*policy->model);
  mine.table = policy;
  mine.emulate = emulate;
  region->log = autocast::log_here();
  return region;
}

// The surrounding region, with this policy and format for the device. Outermost regions of one
// thread often have the same policy, so the last one is kept.
std::shared_ptr<autocast::Region> region_with(c10::DeviceType device, const Policy& policy,
                                              const std::optional<Emulation>& emulate) {
  if (autocast::current_region() != nullptr || autocast::log_here() != nullptr)
    return made_region(device, policy, emulate);
  struct Last {
    c10::DeviceType device;
    std::shared_ptr<autocast::Region> region;
  };
  thread_local Last last;
  const auto is_of_now = [&](const autocast::Region::Device& mine) {
    return mine.table == policy && mine.emulate == emulate &&
           (policy->model == nullptr || mine.memory.is_current(*policy->model));
  };
  if (last.region == nullptr || last.device != device || !is_of_now(last.region->of(device)))
    last = {device, made_region(device, policy, emulate)};
  return last.region;
}

}  // namespace

struct Autocast::State {
  c10::DeviceType device;
  c10::ScalarType outer_dtype;
  bool enabled, outer_enabled, outer_cache_enabled;
  std::thread::id thread = std::this_thread::get_id();
  std::shared_ptr<Lost> lost = lost_here();
  c10::DebugInfoGuard region;

  State(c10::DeviceType on, c10::ScalarType dtype, const AutocastOptions& options,
        std::shared_ptr<autocast::Region> its_region)
      : device(on),
        outer_dtype(at::autocast::get_autocast_dtype(on)),
        enabled(options.enabled),
        outer_enabled(at::autocast::is_autocast_enabled(on)),
        outer_cache_enabled(at::autocast::is_autocast_cache_enabled()),
        region(autocast::kRegionSlot, std::move(its_region)) {
    at::autocast::set_autocast_enabled(device, enabled);
    if (enabled) {
      at::autocast::set_autocast_dtype(device, dtype);
      autocast::enter_for_torchscript();
    }
    at::autocast::set_autocast_cache_enabled(options.cache_enabled);
    at::autocast::increment_nesting();
    autocast::enter_region();
  }

  ~State() {
    autocast::leave_region();
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device, outer_enabled);
    at::autocast::set_autocast_dtype(device, outer_dtype);
    at::autocast::set_autocast_cache_enabled(outer_cache_enabled);
    if (enabled) autocast::leave_for_torchscript();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

namespace {

void end_lost_regions() {
  auto& lost = *lost_here();
  if (!lost.any.load(std::memory_order_acquire)) return;
  std::vector<std::unique_ptr<Autocast::State>> states;
  {
    const std::lock_guard lock(lost.mutex);
    states.swap(lost.states);
    lost.any = false;
  }
  states.clear();
  throw StateError(
      "Autocast: an earlier region of this thread was destroyed on another thread and has ended "
      "only now; keep a guard on the thread that made it");
}

}  // namespace

Autocast::Autocast(c10::DeviceType device, std::optional<c10::ScalarType> dtype,
                   AutocastOptions options) {
  cpu_math::check_single_copy();
  end_lost_regions();
  check_device(device);
  const auto chosen = checked_dtype(device, dtype, options);
  if (options.enabled) check_presence(device);
  if (options.enabled && device == c10::kCPU) cpu_math::want_low_precision_math(chosen);
  const auto& policy =
      options.policy.has_value() ? options.policy->table_ : op_policy::torch_list(device).table;
  state_ = std::make_unique<State>(device, chosen, options,
                                   region_with(device, policy, options.emulate));
}

Autocast::Autocast(c10::Device device, std::optional<c10::ScalarType> dtype,
                   AutocastOptions options)
    : Autocast(device.type(), dtype, std::move(options)) {}

Autocast::~Autocast() {
  if (state_->thread == std::this_thread::get_id()) return;
  auto lost = state_->lost;
  const std::lock_guard lock(lost->mutex);
  lost->states.push_back(std::move(state_));
  lost->any.store(true, std::memory_order_release);
}

bool is_autocast_enabled(c10::DeviceType device) {
  return at::autocast::is_autocast_enabled(device);
}

c10::ScalarType autocast_dtype(c10::DeviceType device) {
  return at::autocast::get_autocast_dtype(device);
}

OpPolicy autocast_policy(c10::DeviceType device) {
  const auto* region = autocast::current_region();
  auto policy = OpPolicy::torch(device);
  if (region != nullptr && region->of(device).table != nullptr)
    policy.table_ = region->of(device).table;
  return policy;
}

void invalidate(const at::Tensor& tensor) {
  if (tensor.defined()) autocast::forget_casts_of(tensor);
}

}  // namespace amp
