// Tensors through the rounding kernels, on all threads.
#pragma once

#include <ATen/core/Tensor.h>

#include "amp/precision.h"
#include "src/kernels/kernels.h"

namespace amp::precision {

// Checks the options.
kernels::GridRounding rounding_of(const char* who, Format format, const QuantizeOptions& options);

// What amp::quantize and encode do; `amax`, if given, becomes the largest finite |x|, unscaled.
at::Tensor quantized(const at::Tensor& x, const kernels::GridRounding& rounding,
                     double* amax = nullptr);
at::Tensor encoded(const at::Tensor& x, Format format, const kernels::GridRounding& rounding,
                   double* amax = nullptr);

}  // namespace amp::precision
