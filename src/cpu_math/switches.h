// The process's choices for CPU products: what was asked for, what holds, and which engine is the
// fast one here.
#pragma once

#include "amp/cpu_math.h"

namespace amp::cpu_math {

// Turns the fp16 path on, unless the user has decided or the processor has fp16 arithmetic. Cheap
// to repeat. Throws StateError in a second copy of libamp.
void want_half_math();

// Read once per product.
bool half_math_on();
bool fp32_fastest();

enum class Engine { mkl, onednn };

// The faster of the two for fp32 products on this machine; measured at the first call, unless
// fixed.
Engine fast_engine();

}  // namespace amp::cpu_math
