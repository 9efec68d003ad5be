// The dtypes that an op of this thread is given, while a recorder lives.
#pragma once

#include <ATen/record_function.h>

#include <memory>
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
    handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(&OpDtypes::seen)
                                             .needsInputs(true)
                                             .scopes({at::RecordScope::FUNCTION}));
  }
  ~OpDtypes() { at::removeCallback(handle_); }
  OpDtypes(const OpDtypes&) = delete;
  OpDtypes& operator=(const OpDtypes&) = delete;

  // Of the tensors among its arguments, over all calls.
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
  static std::unique_ptr<at::ObserverContext> seen(const at::RecordFunction& call) {
    if (here().op != call.name()) return nullptr;
    for (const auto& input : call.inputs()) {
      if (input.isTensor()) here().dtypes.insert(input.toTensor().scalar_type());
    }
    return nullptr;
  }
  at::CallbackHandle handle_;
};

}  // namespace amp::tests
