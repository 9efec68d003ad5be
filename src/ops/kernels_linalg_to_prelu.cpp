// Kernels of the listed ops from linalg_matrix_rank to prelu.
#include <ATen/Operators.h>

#include "src/autocast/inside.h"
#include "src/ops/kernel_parts.h"
#include "src/ops/own_kernels.h"

namespace amp::ops {

using namespace autocast;

void register_linalg_to_prelu(torch::Library& cpu, torch::Library& cuda) {
  AMP_AUTOCAST_OPS_3(AMP_REGISTER_OP)
}

}  // namespace amp::ops
