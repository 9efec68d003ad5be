// A region in which nothing is computed below a format: what fp32 or fp64 makes of a model, whatever the
// model casts itself.
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
  // Float or Double: what is narrower becomes this; Undefined: nothing does.
  c10::ScalarType wide = c10::ScalarType::Undefined;
  std::vector<std::string> ops = {};  // only these, by their names without overloads; empty: all
  // These calls of the region, upwards, take their inputs rounded to `narrow`, and give what they are asked for
  // in a floating-point dtype in it.
  c10::ScalarType narrow = c10::ScalarType::Undefined;
  std::vector<std::int64_t> narrow_calls = {};
  // Where constants beside low-precision tensors are put that are zero in their format.
  std::vector<std::pair<std::string, double>>* flushed = nullptr;
  std::vector<OpCall>* calls = nullptr;  // where all calls of the region are put
  // The dtypes of the calls in the training that drew random numbers, by their places, upwards. May be null.
  const std::vector<std::pair<std::int64_t, c10::ScalarType>>* drawn = nullptr;
  // The name of a parameter; may be empty: then none has one.
  std::function<std::string(const at::Tensor&)> name_of = {};
};

// While it lives, each floating-point tensor that an op of this thread is given, and each dtype that an
// op is asked for, is at least `wide`. Random numbers are drawn in the dtype they were drawn in, for another
// dtype draws others, and then widened. An op that writes into a narrower tensor computes wide and rounds
// what it wrote. Differentiable; regions nest, and the inner one rules. The Widening must outlive it.
// StateError in a second copy of libamp, and where another library sits on the dispatch key.
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
