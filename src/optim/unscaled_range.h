// Whether unscaled gradients fit where they are stored.
#pragma once

#include <cstddef>

#include "src/kernels/kernels.h"
#include "src/optim/entry.h"

namespace amp::optim {

// Whether the unscaled gradient of this entry is, or would be by separate calls of unscale_ and
// step, a bf16 tensor: it goes back into `.grad`, or its parameter is bf16 itself. The bf16 gradient
// of an fp32 parameter that nobody sees stands for an fp32 one.
bool is_stored_in_bf16(const Entry& entry, bool goes_back);

// From here on a magnitude in fp32 is rounded to Inf in bf16: half a step above the largest.
inline constexpr float kInfInBf16 = 0x1.ffp127F;

// Whether a value of these in bf16, times inv_scale, becomes Inf in bf16, or is not finite itself. In
// fp32 the product may be finite. Fast where inv_scale is at most 1, which is nearly always.
bool overflows_bf16(kernels::ConstSpan gradient, std::size_t count, float inv_scale);

}  // namespace amp::optim
