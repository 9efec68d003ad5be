// Kernels of the ops that only the fast lists name.
#include <ATen/Operators.h>

#include "src/autocast/inside.h"
#include "src/ops/kernel_parts.h"
#include "src/ops/own_kernels.h"

namespace amp::ops {

using namespace autocast;

void register_fast_lists(torch::Library& cpu, torch::Library& cuda) {
  AMP_AUTOCAST_OPS_FAST(AMP_REGISTER_OP)
}

}  // namespace amp::ops
