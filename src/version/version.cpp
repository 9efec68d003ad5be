// The version CMake was told.
#include "amp/version.h"

namespace amp {

const char* version() { return AMP_VERSION; }

}  // namespace amp
