// A format for the kernels: its grid, and what overflows.
#pragma once

#include <optional>

#include "amp/precision/format.h"
#include "src/kernels/kernels.h"

namespace amp::precision {

inline bool is_fp8(Format format) { return format_info(format).bytes == 1; }

// saturate: by default as QuantizeOptions says.
kernels::Grid grid_of(Format format, std::optional<bool> saturate);

}  // namespace amp::precision
