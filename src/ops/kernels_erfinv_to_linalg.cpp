// Kernels of the listed ops from erfinv to linalg_matrix_rank.
#include <ATen/Operators.h>

#include "src/autocast/inside.h"
#include "src/ops/kernel_parts.h"
#include "src/ops/own_kernels.h"

namespace amp::ops {

using namespace autocast;

void register_erfinv_to_linalg(torch::Library& cpu, torch::Library& cuda) {
  AMP_AUTOCAST_OPS_2(AMP_REGISTER_OP)
}

}  // namespace amp::ops
