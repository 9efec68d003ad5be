// Where the numbers in each piece of memory came from, within one step.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <unordered_map>

#include "src/inspect/summary.h"

namespace amp::inspect {

struct Origin {
  int op = -1;         // the op of this step that wrote it last; -1: it was there before
  int parameter = -1;  // it is a parameter's
  double amax = 0;  // of the finite numbers; in the whole memory, of which a tensor may be a part
  bool nan = false, inf = false;
  bool constant = false;         // what is not finite was put there on purpose, as a mask
  bool overflowed_copy = false;  // low precision's copy of a parameter that is finite; amax is its
  bool partial = false;          // a part was written later: what the rest was may be gone

  bool finite() const { return !nan && !inf; }
  // Keeps what was there before a part of the memory was written.
  void keep(const Origin& rest) {
    amax = std::max(amax, rest.amax);
    nan |= rest.nan;
    inf |= rest.inf;
    if (op < 0 && !rest.finite()) op = rest.op;
    constant = constant && (rest.finite() || rest.constant);
    partial = true;
  }
  void take(const TensorStatistics& statistics) {
    amax = statistics.amax;
    nan = statistics.nans > 0;
    inf = statistics.infs > 0;
  }
};

// Origins by memory, which views share. It keeps no memory alive, only LibTorch's note of it, so no
// address comes twice.
class Origins {
 public:
  const Origin* find(const at::Tensor& tensor) const {
    const auto found = all_.find(tensor.storage().unsafeGetStorageImpl());
    return found == all_.end() ? nullptr : &found->second.origin;
  }
  const Origin& set(const at::Tensor& tensor, const Origin& origin) {
    auto* memory = tensor.storage().unsafeGetStorageImpl();
    const auto place = all_.find(memory);
    if (place != all_.end()) return place->second.origin = origin;
    return all_.emplace(memory, Entry{origin, tensor.storage().getWeakStorageImpl()})
        .first->second.origin;
  }
  void clear() { all_.clear(); }

 private:
  struct Entry {
    Origin origin;
    c10::weak_intrusive_ptr<c10::StorageImpl> memory;
  };
  std::unordered_map<const c10::StorageImpl*, Entry> all_;
};

}  // namespace amp::inspect
