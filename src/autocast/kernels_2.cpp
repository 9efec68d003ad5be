// A quarter of the listed ops' kernels.
#include <ATen/Operators.h>

#include "src/autocast/inside.h"

namespace amp::autocast {

void register_part_2(torch::Library& cpu, torch::Library& cuda) {
  AMP_AUTOCAST_OPS_2(AMP_REGISTER_OP)
}

}  // namespace amp::autocast
