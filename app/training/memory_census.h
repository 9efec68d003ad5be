// What is alive in memory, and as which dtype: the allocator's blocks joined with the tensors that
// ops returned.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace ampersand {

// Bytes alive on the CPU that were allocated by this thread since the census began.
struct LiveBytes {
  std::int64_t floating = 0;  // floating-point tensors, weight copies aside
  std::int64_t integer = 0;   // indices, labels and masks
  std::int64_t copies = 0;    // casts of parameters
  std::int64_t other = 0;     // blocks no op's output was seen in
};

// Follows every CPU allocation of the thread that made it, for as long as it lives. Cheap: one map
// entry a block.
class MemoryWatch {
 public:
  MemoryWatch();
  ~MemoryWatch();
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  std::int64_t live_bytes() const;
  std::int64_t peak_bytes() const;  // the most that was ever alive at once

 private:
  friend class MemoryCensus;
  class Reporter;
  std::shared_ptr<Reporter> reporter_;
  c10::DebugInfoGuard guard_;
};

// While it lives, tags the watch's new blocks with the dtype of the tensor each holds. Costs a
// callback an op: use it for one step. One at a time on a thread.
class MemoryCensus {
 public:
  MemoryCensus(MemoryWatch& watch, const std::vector<at::Tensor>& parameters);
  ~MemoryCensus();
  MemoryCensus(const MemoryCensus&) = delete;
  MemoryCensus& operator=(const MemoryCensus&) = delete;

  LiveBytes live() const;

 private:
  struct State;
  static std::unique_ptr<at::ObserverContext> look_at_inputs(const at::RecordFunction& function);
  static void tag_outputs(const at::RecordFunction& function, at::ObserverContext* context);
  std::unique_ptr<State> state_;
  at::CallbackHandle handle_;
};

}  // namespace ampersand
