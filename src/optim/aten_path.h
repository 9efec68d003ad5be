// Sending every parameter through ATen, to compare the two paths of a step.
#pragma once

#include "amp/export.h"

namespace amp::optim {

bool aten_path_is_forced();

// While one lives, steps of its thread leave the kernels aside.
class AMP_API ForceAtenPath {
 public:
  ForceAtenPath();
  ~ForceAtenPath();
  ForceAtenPath(const ForceAtenPath&) = delete;
  ForceAtenPath& operator=(const ForceAtenPath&) = delete;

 private:
  bool before_;
};

}  // namespace amp::optim
