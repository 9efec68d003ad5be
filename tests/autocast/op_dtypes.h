// The dtypes that an op of this thread gives, while a recorder lives.
#pragma once

#include <ATen/record_function.h>

#include <set>
#include <string>
#include <utility>

#include "tests/support/tensors.h"

namespace amp::tests {

// One at a time on a thread: LibTorch's callbacks are plain functions.
class OpDtypes {
 public:
  explicit OpDtypes(std::string op) {
    here() = {std::move(op), {}};
    handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(nullptr, &OpDtypes::seen)
                                             .needsOutputs(true)
                                             .scopes({at::RecordScope::FUNCTION}));
  }
  ~OpDtypes() { at::removeCallback(handle_); }
  OpDtypes(const OpDtypes&) = delete;
  OpDtypes& operator=(const OpDtypes&) = delete;

  // Of its tensors, over all calls.
  const std::set<c10::ScalarType>& dtypes() const { return here().dtypes; }

 private:
  struct Seen {
    std::string op;
    std::set<c10::ScalarType> dtypes;
  };
  static Seen& here() {
    thread_local Seen seen;
    return seen;
  }
  static void seen(const at::RecordFunction& call, at::ObserverContext* /*none*/) {
    if (here().op != call.name()) return;
    for (const auto& output : call.outputs()) {
      if (output.isTensor()) here().dtypes.insert(output.toTensor().scalar_type());
    }
  }
  at::CallbackHandle handle_;
};

}  // namespace amp::tests
