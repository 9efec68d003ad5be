// One home for the type information of ScaledStep: GradScaler finds it by dynamic_cast across
// libraries.
#include "amp/optim.h"

namespace amp::optim {

ScaledStep::~ScaledStep() = default;

}  // namespace amp::optim
