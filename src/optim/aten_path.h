// Sending every parameter through ATen, to compare the ways of a step.
#pragma once

#include "amp/export.h"

namespace amp::optim {

enum class AtenPath {
  where_needed,  // on a GPU by lists; fp64 on the CPU one by one; the rest through the kernels
  lists,
  one_by_one
};

inline constexpr AtenPath kPaths[] = {AtenPath::where_needed, AtenPath::lists,
                                      AtenPath::one_by_one};

AtenPath aten_path();

// While one lives, steps of its thread leave the kernels aside.
class AMP_API ForceAtenPath {
 public:
  explicit ForceAtenPath(AtenPath path = AtenPath::one_by_one);
  ~ForceAtenPath();
  ForceAtenPath(const ForceAtenPath&) = delete;
  ForceAtenPath& operator=(const ForceAtenPath&) = delete;

 private:
  AtenPath before_;
};

}  // namespace amp::optim
