// TorchScript while an Inspector records.
#pragma once

#include <torch/csrc/jit/python/update_graph_executor_opt.h>

#include <mutex>

namespace amp::inspect {

// Runs TorchScript without its optimising executor, whose backward pass has one node for many ops.
// The switch belongs to the process: the first Inspector that records turns the executor off, and
// the last one turns it on again.
class PlainExecutor {
 public:
  PlainExecutor() {
    const std::lock_guard lock(mutex_);
    if (users_++ > 0) return;
    was_on_ = torch::jit::getGraphExecutorOptimize();
    torch::jit::setGraphExecutorOptimize(false);
  }
  ~PlainExecutor() {
    const std::lock_guard lock(mutex_);
    if (--users_ == 0) torch::jit::setGraphExecutorOptimize(was_on_);
  }
  PlainExecutor(const PlainExecutor&) = delete;
  PlainExecutor& operator=(const PlainExecutor&) = delete;

 private:
  static inline std::mutex mutex_;
  static inline int users_ = 0;
  static inline bool was_on_ = true;
};

}  // namespace amp::inspect
