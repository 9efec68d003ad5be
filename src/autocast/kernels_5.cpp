// Kernels of the ops that only the fast lists name.
#include <ATen/Operators.h>

#include "src/autocast/inside.h"

namespace amp::autocast {

void register_part_5(torch::Library& cpu, torch::Library& cuda) {
  AMP_AUTOCAST_OPS_FAST(AMP_REGISTER_OP)
}

}  // namespace amp::autocast
