// Kernels of the listed ops from acos to einsum.
#include <ATen/Operators.h>

#include "src/autocast/inside.h"
#include "src/ops/kernel_parts.h"
#include "src/ops/own_kernels.h"

namespace amp::ops {

using namespace autocast;

void register_acos_to_einsum(torch::Library& cpu, torch::Library& cuda) {
  AMP_AUTOCAST_OPS_1(AMP_REGISTER_OP)
}

}  // namespace amp::ops
