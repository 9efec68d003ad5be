// A half of the kernels of ops that compute in a wider dtype than they are given.
#include <ATen/Operators.h>

#include "src/autocast/inside.h"

namespace amp::autocast {

void register_inside_2(torch::Library& cpu, torch::Library& cuda) {
  AMP_INSIDE_OPS_2(AMP_REGISTER_INSIDE)
  AMP_INSIDE_OPS_3(AMP_REGISTER_INSIDE)
  AMP_MIXING_OPS(AMP_REGISTER_INSIDE)
}

}  // namespace amp::autocast
