// A region in which nothing is computed below a format. It shows what fp32 or fp64 makes of a
// model, whatever the model casts itself.
#pragma once

#include <c10/core/ScalarType.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "amp/experiment.h"

namespace amp::experiment {

struct Widening {
  // Float or Double: every lower precision becomes this. Undefined: nothing changes.
  c10::ScalarType wide = c10::ScalarType::Undefined;
  std::vector<std::string> ops = {};  // only these, by their names without overloads; empty: all
  // These calls of the region, in ascending order, take their inputs rounded to `low`. If they
  // are asked for a floating-point dtype, they give this one.
  c10::ScalarType low = c10::ScalarType::Undefined;
  std::vector<std::int64_t> low_calls = {};
  // Receives the constants that are given together with low-precision tensors and are zero in their
  // format.
  std::vector<std::pair<std::string, double>>* flushed = nullptr;
  std::vector<OpCall>* calls = nullptr;  // where all calls of the region are put
  // The dtypes of the training's calls that drew random numbers, by their places, in ascending
  // order. May be null.
  const std::vector<std::pair<std::int64_t, c10::ScalarType>>* drawn = nullptr;
  // The name of a parameter; may be empty: then none has one.
  std::function<std::string(const at::Tensor&)> parameter_name = {};
};

// While it lives, each floating-point tensor that an op of this thread is given, and each dtype
// that an op is asked for, is at least `wide`. Random numbers are drawn in the dtype in which the
// training drew them, because another dtype draws other numbers, and are then widened. An op that
// writes into a tensor of lower precision computes in `wide` and rounds what it writes. The ops
// stay differentiable. Regions nest, and the inner one rules. The Widening must outlive the region.
// Throws StateError in a second copy of libamp, and where another library uses the dispatch key.
class WideMode {
 public:
  explicit WideMode(const Widening& widening);
  ~WideMode();
  WideMode(const WideMode&) = delete;
  WideMode& operator=(const WideMode&) = delete;

 private:
  const Widening* before_;
  std::int64_t call_before_;
  c10::impl::IncludeDispatchKeyGuard included_;
};

}  // namespace amp::experiment
