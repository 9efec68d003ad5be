// Which Ampersand this is.
#pragma once

#include "amp/export.h"

namespace amp {

// "0.1.0", of the library that was loaded.
AMP_API const char* version();

}  // namespace amp
