// Kernels of the ops that compute in a wider dtype than they are given, from add to renorm_.
#include <ATen/Operators.h>

#include "src/autocast/inside.h"
#include "src/ops/kernel_parts.h"

namespace amp::ops {

using namespace autocast;

void register_inside_add_to_renorm(torch::Library& cpu, torch::Library& cuda) {
  AMP_INSIDE_OPS_1(AMP_REGISTER_INSIDE)
}

}  // namespace amp::ops
