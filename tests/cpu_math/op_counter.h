// Counts the calls of an op, on every thread, while it lives.
#pragma once

#include <ATen/record_function.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>

namespace cpu_math_test {

// One at a time: LibTorch's callbacks are plain functions.
class OpCounter {
 public:
  explicit OpCounter(std::string op) {
    name() = std::move(op);
    count() = 0;
    handle_ = at::addGlobalCallback(
        at::RecordFunctionCallback(&OpCounter::seen).scopes({at::RecordScope::FUNCTION}));
  }
  ~OpCounter() { at::removeCallback(handle_); }
  OpCounter(const OpCounter&) = delete;
  OpCounter& operator=(const OpCounter&) = delete;

  int calls() const { return count(); }

 private:
  static std::unique_ptr<at::ObserverContext> seen(const at::RecordFunction& call) {
    if (name() == call.name()) ++count();
    return nullptr;
  }
  static std::string& name() {
    static std::string op;
    return op;
  }
  static std::atomic<int>& count() {
    static std::atomic<int> calls{0};
    return calls;
  }
  at::CallbackHandle handle_;
};

}  // namespace cpu_math_test
