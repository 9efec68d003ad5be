// The dtypes that an op of this thread, and of the backward passes that it starts, gives while a
// recorder lives.
#pragma once

#include <ATen/record_function.h>

#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "tests/support/tensors.h"

namespace amp::tests {

// One at a time: LibTorch's callbacks are plain functions.
class OpDtypes {
 public:
  explicit OpDtypes(std::string op) {
    {
      const std::lock_guard lock(here().mutex);
      here().op = std::move(op);
      here().dtypes.clear();
    }
    handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(nullptr, &OpDtypes::seen)
                                             .needsOutputs(true)
                                             .scopes({at::RecordScope::FUNCTION}));
  }
  ~OpDtypes() { at::removeCallback(handle_); }
  OpDtypes(const OpDtypes&) = delete;
  OpDtypes& operator=(const OpDtypes&) = delete;

  // Of its tensors, over all calls.
  std::set<c10::ScalarType> dtypes() const {
    const std::lock_guard lock(here().mutex);
    return here().dtypes;
  }

 private:
  struct Seen {
    std::mutex mutex;
    std::string op;
    std::set<c10::ScalarType> dtypes;
  };
  static Seen& here() {
    static Seen seen;  // a device's backward pass has a thread of its own
    return seen;
  }
  static void seen(const at::RecordFunction& call, at::ObserverContext* /*none*/) {
    const std::lock_guard lock(here().mutex);
    if (here().op != call.name()) return;
    for (const auto& output : call.outputs()) {
      if (output.isTensor()) here().dtypes.insert(output.toTensor().scalar_type());
    }
  }
  at::CallbackHandle handle_;
};

}  // namespace amp::tests
