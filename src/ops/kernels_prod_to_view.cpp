// Kernels of the listed ops from prod to view_as_complex.
#include <ATen/Operators.h>

#include "src/autocast/inside.h"
#include "src/ops/kernel_parts.h"
#include "src/ops/own_kernels.h"

namespace amp::ops {

using namespace autocast;

void register_prod_to_view(torch::Library& cpu, torch::Library& cuda) {
  AMP_AUTOCAST_OPS_4(AMP_REGISTER_OP)
}

}  // namespace amp::ops
