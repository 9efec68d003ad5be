// Which of the compiled targets runs.
#pragma once

#include "src/kernels/kernels.h"

namespace amp::kernels {

// The table for what AMP_FORCE_TARGET says; null or empty: the best that this processor has.
// Throws UnsupportedError for a target that is unknown, or absent here.
const Table& choose(const char* forced);

}  // namespace amp::kernels
