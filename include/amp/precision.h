// Any format on any machine: tensors rounded to it, what it would lose of them, and scales for fp8.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <optional>

#include "amp/export.h"
#include "amp/precision/format.h"
#include "amp/precision/tensor_scale.h"

namespace amp {

enum class Rounding : std::uint8_t {
  nearest_even,  // to the nearer neighbour, at equal distance to the one whose last bit is 0
  stochastic,    // up with the probability that makes the mean right, else down
};

struct QuantizeOptions {
  Rounding rounding = Rounding::nearest_even;
  // What becomes of a number that rounds to more than the largest finite one, and of Inf.
  // Saturating: the largest finite number with its sign. Not: Inf, or NaN in e4m3, as torch's casts.
  // By default fp8 formats saturate and the others do not. NaN stays NaN either way.
  std::optional<bool> saturate = {};
  // Of stochastic rounding. An element's random number depends on the seed and on its index in the
  // tensor alone, not on threads or strides: pass another seed for every call.
  std::uint64_t seed = 0;
  // The numbers are multiplied by it before they are rounded (in fp32) and by 1/scale after;
  // from 2^-126 to 2^126.
  double scale = 1.0;
};

// `x` rounded to the format's grid, in x's dtype and on its device, with its sizes.
//
// x: fp32, fp16, bf16 or fp64 of any strides. The values are taken in fp32, and the result is
// rounded to x's dtype, which has every number of the format (fp16's range is smaller than that of
// some). Subnormal numbers of the format are kept; none is flushed. On the CPU it is one pass at
// memory speed on all threads. CUDA tensors are rounded on the host, so the call waits for the
// device twice. Autograd does not see it: the result requires no gradient. Throws InvalidArgument
// for another dtype, for a sparse tensor and for a scale out of range.
//
//   auto rounded = amp::quantize(weight, amp::Format::e4m3);
//   auto noisy = amp::quantize(x, amp::Format::bf16, {.rounding = amp::Rounding::stochastic, .seed = 7});
AMP_API at::Tensor quantize(const at::Tensor& x, Format format,
                            const QuantizeOptions& options = {});
// The same, into x, which it returns. Bumps x's version; throws InvalidArgument for a leaf that
// requires a gradient while GradMode is on, as torch's in-place ops do.
AMP_API at::Tensor& quantize_(at::Tensor& x, Format format, const QuantizeOptions& options = {});

// Returns the codes of round(x * scale): a contiguous tensor of float8_e4m3fn, float8_e5m2,
// bfloat16, float16, or float32 for fp32 and tf32. Takes what quantize takes.
AMP_API at::Tensor encode(const at::Tensor& x, Format format, const QuantizeOptions& options = {});
// Returns in fp32 what the codes stand for, exactly, times 1/scale. codes: any dtype that encode
// makes.
AMP_API at::Tensor decode(const at::Tensor& codes, double scale = 1.0);

// What a tensor would lose if it were rounded to a format, to nearest even. Inf and NaN count in
// `total` alone.
struct FormatLoss {
  std::int64_t total = 0;
  std::int64_t nonzero = 0;          // finite and not zero: what there is to lose
  std::int64_t overflowed = 0;       // finite, but beyond the largest number after rounding
  std::int64_t flushed_to_zero = 0;  // not zero, but zero after rounding
  std::int64_t subnormal = 0;        // a subnormal number after rounding: fewer bits than normal
};
// Takes x as quantize does, times `scale` (in fp32) before it is rounded. One pass at memory speed.
// Waits for a CUDA device. Throws what quantize throws.
AMP_API FormatLoss format_loss(const at::Tensor& x, Format format, double scale = 1.0);

// How many numbers have each binary exponent: 2^e <= |x| < 2^(e+1), subnormal ones too. fp64 numbers
// are rounded to fp32 first.
struct ExponentHistogram {
  static constexpr int kLowest = -149, kHighest = 128;
  std::array<std::int64_t, 278> counts{};  // counts[e + 149]; that of 128 stays 0 in fp32
  std::int64_t zero = 0, inf = 0, nan = 0;
};
AMP_API ExponentHistogram exponent_histogram(const at::Tensor& x);

struct TensorStatistics {
  double amax = 0;  // the largest |x| of the finite numbers; 0 if there is none
  std::int64_t total = 0, zeros = 0, infs = 0, nans = 0;
};
AMP_API TensorStatistics statistics(const at::Tensor& x);

}  // namespace amp
