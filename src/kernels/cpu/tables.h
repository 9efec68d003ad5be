// The tables that were compiled, whether or not this processor can run them.
#pragma once

#include "src/kernels/kernels.h"

namespace amp::kernels {

const Table* scalar_table();
const Table* avx2_table();    // null in a build for another kind of processor
const Table* avx512_table();  // so too

}  // namespace amp::kernels
