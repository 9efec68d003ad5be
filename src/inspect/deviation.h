// How far a result in low precision lies from fp32's.
#pragma once

#include <ATen/core/Tensor.h>

#include "amp/inspect/records.h"

namespace amp::inspect {

// own and fp32 have the same sizes, and numbers (has_numbers); own is divided by `scale` first. On the
// host; waits for a device.
Deviation deviation_of(const at::Tensor& own, const at::Tensor& fp32, Format format,
                       double scale = 1);

}  // namespace amp::inspect
