// The bytes of tensors that this thread has made and not freed, while a counter lives.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace amp::tests {

class LiveBytes {
 public:
  LiveBytes()
      : count_(std::make_shared<Count>()), guard_(c10::DebugInfoKind::PROFILER_STATE, count_) {}
  LiveBytes(const LiveBytes&) = delete;
  LiveBytes& operator=(const LiveBytes&) = delete;

  std::int64_t now() const { return count_->now; }
  std::int64_t allocations() const { return count_->allocations; }
  std::int64_t largest() const { return count_->largest; }  // allocation
  // The most there were at once since the last call.
  std::int64_t take_peak() {
    const auto peak = count_->peak;
    count_->peak = count_->now;
    return peak;
  }

 private:
  struct Count : c10::MemoryReportingInfoBase {
    std::int64_t now = 0, peak = 0, largest = 0, allocations = 0;
    void reportMemoryUsage(void* /*memory*/, std::int64_t change, std::size_t /*allocated*/,
                           std::size_t /*reserved*/, c10::Device /*device*/) override {
      now += change;
      peak = std::max(peak, now);
      largest = std::max(largest, change);
      if (change > 0) ++allocations;
    }
    bool memoryProfilingEnabled() const override { return true; }
  };
  std::shared_ptr<Count> count_;
  c10::DebugInfoGuard guard_;
};

}  // namespace amp::tests
