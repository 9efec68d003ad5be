// A quarter of the listed ops' kernels.
#include <ATen/Operators.h>

#include "src/autocast/inside.h"

namespace amp::autocast {

void register_part_4(torch::Library& cpu, torch::Library& cuda) {
  AMP_AUTOCAST_OPS_4(AMP_REGISTER_OP)
}

}  // namespace amp::autocast
