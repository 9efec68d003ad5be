// From a format to its grid.
#include "src/precision/grid.h"

#include <limits>

namespace amp::precision {

kernels::Grid grid_of(Format format, std::optional<bool> saturate) {
  const auto& info = format_info(format);
  const auto largest = static_cast<float>(info.max_finite);
  float overflow = largest;
  if (!saturate.value_or(is_fp8(format))) {
    overflow = info.has_inf ? std::numeric_limits<float>::infinity()
                            : std::numeric_limits<float>::quiet_NaN();
  }
  return {.mantissa_bits = info.mantissa_bits,
          .min_exponent = 1 - info.bias,
          .largest = largest,
          .overflow = overflow,
          .has_inf = info.has_inf};
}

}  // namespace amp::precision
