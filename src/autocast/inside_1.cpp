// A half of the kernels of ops that compute in a wider dtype than they are given.
#include <ATen/Operators.h>

#include "src/autocast/inside.h"

namespace amp::autocast {

void register_inside_1(torch::Library& cpu, torch::Library& cuda) {
  AMP_INSIDE_OPS_1(AMP_REGISTER_INSIDE)
}

}  // namespace amp::autocast
