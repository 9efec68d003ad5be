// The numbers of the Recorders that record at once, and the callbacks that each number has.
#include "src/inspect/slots.h"

#include <array>
#include <mutex>
#include <utility>

#include "amp/error.h"
#include "src/inspect/frame.h"
#include "src/inspect/recorder.h"

namespace amp::inspect {
namespace {

// A callback is a plain function, and LibTorch takes a thread's callbacks to the threads of its
// backward pass. So each Recorder that records has a number, and each number has functions of its
// own.
constexpr int kSlots = 16;

// Only a pointer is copied under the lock. A callback holds the Recorder while it runs, so a
// callback on another thread may outlive the step and the Inspector.
struct Slot {
  std::mutex mutex;
  std::shared_ptr<Recorder> recorder;
};

std::array<Slot, kSlots>& slots() {
  static auto* const kept = new std::array<Slot, kSlots>;  // threads may outlive statics
  return *kept;
}

std::shared_ptr<Recorder> recorder_in(int slot) {
  auto& [mutex, recorder] = slots()[static_cast<std::size_t>(slot)];
  const std::lock_guard lock(mutex);
  return recorder;
}

// A failure in here must not disturb the model: that op is passed over.
template <int slot>
std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& function) {
  try {
    const auto recorder = recorder_in(slot);
    return recorder == nullptr ? nullptr : recorder->before(function, slot);
  } catch (...) {
    return nullptr;
  }
}

template <int slot>
void on_end(const at::RecordFunction& function, at::ObserverContext* context) {
  if (context == nullptr) return;
  auto& frame = *static_cast<Frame*>(context);
  innermost(slot) = frame.enclosing;
  try {
    if (const auto recorder = recorder_in(slot)) recorder->after(function, frame);
  } catch (...) {
    return;
  }
}

template <int... slot>
constexpr auto callbacks(std::integer_sequence<int, slot...>) {
  return std::array{std::pair(&on_start<slot>, &on_end<slot>)...};
}
constexpr auto kCallbacks = callbacks(std::make_integer_sequence<int, kSlots>());

}  // namespace

Frame*& innermost(int slot) {
  thread_local std::array<Frame*, kSlots> frames{};
  return frames[static_cast<std::size_t>(slot)];
}

int take_slot(const std::shared_ptr<Recorder>& recorder) {
  for (int i = 0; i < kSlots; ++i) {
    auto& [mutex, holder] = slots()[static_cast<std::size_t>(i)];
    const std::lock_guard lock(mutex);
    if (holder != nullptr) continue;
    holder = recorder;
    return i;
  }
  throw StateError("Inspector: 16 of them record at once already; end a step of another one first");
}

void free_slot(int slot) {
  std::shared_ptr<Recorder> last;  // let go of after the lock
  auto& [mutex, recorder] = slots()[static_cast<std::size_t>(slot)];
  const std::lock_guard lock(mutex);
  last.swap(recorder);
}

at::RecordFunctionCallback callback_of(int slot) {
  const auto [start, end] = kCallbacks[static_cast<std::size_t>(slot)];
  return at::RecordFunctionCallback(start, end)
      .needsInputs(true)
      .needsOutputs(true)
      .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION});
}

}  // namespace amp::inspect
