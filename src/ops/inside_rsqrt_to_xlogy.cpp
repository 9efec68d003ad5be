// Kernels of the ops that compute in a wider dtype than they are given, from rsqrt_ to xlogy_, and of those that mix dtypes.
#include <ATen/Operators.h>

#include "src/autocast/inside.h"
#include "src/ops/kernel_parts.h"

namespace amp::ops {

using namespace autocast;

void register_inside_rsqrt_to_xlogy(torch::Library& cpu, torch::Library& cuda) {
  AMP_INSIDE_OPS_2(AMP_REGISTER_INSIDE)
  AMP_INSIDE_OPS_3(AMP_REGISTER_INSIDE)
  AMP_MIXING_OPS(AMP_REGISTER_INSIDE)
}

}  // namespace amp::ops
