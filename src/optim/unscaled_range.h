// Whether unscaled gradients fit where they are stored.
#pragma once

#include <cstddef>

#include "src/kernels/kernels.h"
#include "src/optim/entry.h"

namespace amp::optim {

// Whether the unscaled gradient of this entry is a bf16 tensor, or would be one with separate calls
// of unscale_ and step. It is if it goes back into `.grad`, or if the parameter itself is bf16. The
// bf16 gradient of an fp32 parameter that nobody sees counts as fp32.
bool is_stored_in_bf16(const Entry& entry, bool gives_back);

// From this fp32 magnitude on, rounding to bf16 gives Inf: half a step above bf16's largest number.
inline constexpr float kInfInBf16 = 0x1.ffp127F;

// Whether one of these bf16 values is not finite, or becomes Inf in bf16 when it is multiplied by
// inv_scale; in fp32 the product may be finite. It is fast if inv_scale is at most 1, which is
// nearly always so.
bool overflows_bf16(kernels::ConstSpan gradient, std::size_t count, float inv_scale);

}  // namespace amp::optim
