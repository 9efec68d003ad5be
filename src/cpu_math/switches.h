// The process's choices for CPU products: what was asked for, what holds, and which engine is the
// fast one here.
#pragma once

#include <c10/core/ScalarType.h>

#include "amp/cpu_math.h"

namespace amp::cpu_math {

// Turns the fp16 or the bf16 path on, unless the user has decided or the processor has arithmetic
// for it. Other dtypes: nothing. Cheap to repeat. Throws StateError in a second copy of libamp.
void want_low_precision_math(c10::ScalarType dtype);

// Read once per product.
bool half_math_on();
bool bf16_math_on();
// Whether products of this dtype are ours to compute, through fp32.
bool widens(c10::ScalarType dtype);
// Whether gradients of a layer norm's parameters in this dtype are ours to sum: once it was used as a
// low precision, on any processor, until the user says no.
bool sums_norms(c10::ScalarType dtype);
bool fp32_fastest();

enum class Engine { mkl, onednn };

// The faster of the two for fp32 products on this machine; measured at the first call, unless
// fixed.
Engine fast_engine();

}  // namespace amp::cpu_math
