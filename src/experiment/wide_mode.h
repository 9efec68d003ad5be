// A region in which nothing is computed below a format: what fp32 or fp64 makes of a model, whatever the
// model casts itself.
#pragma once

#include <c10/core/ScalarType.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <string>
#include <vector>

namespace amp::experiment {

// While it lives, each floating-point tensor that an op of this thread is given, and each dtype that an
// op is asked for, is at least `wide` (Float or Double). An op that writes into a narrower tensor computes
// wide and rounds what it wrote. Differentiable; regions nest, and the inner one rules. ops: only these, by
// their names without overloads; they must outlive it.
class WideMode {
 public:
  explicit WideMode(c10::ScalarType wide, const std::vector<std::string>& ops = {});
  ~WideMode();
  WideMode(const WideMode&) = delete;
  WideMode& operator=(const WideMode&) = delete;

 private:
  c10::ScalarType before_;
  const std::vector<std::string>* ops_before_;
  c10::impl::IncludeDispatchKeyGuard included_;
};

}  // namespace amp::experiment
