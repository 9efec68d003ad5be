// The update by ATen: of what lies on a GPU, and of fp64.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "src/optim/algorithm.h"
#include "src/optim/check_parameters.h"
#include "src/optim/entry.h"

namespace amp::optim {

struct AtenItem {
  Entry* entry;
  at::Tensor gradient;  // in the dtype of the arithmetic, dense
  bool is_copy;         // it may be written: it is not the parameter's `.grad`
};

// Updates the parameter of every item, whose slot has a state with all its buffers. skip: bool,
// 0-dim: changes nothing if true; undefined is false. Does not wait for the device. A GPU gets few
// calls over lists of tensors, because starting a kernel for one tensor takes longer than running it.
void update_by_aten(const std::vector<AtenItem>& items, const Algorithm& algorithm,
                    const Groups& groups, const at::Tensor& skip);

}  // namespace amp::optim
