// The reference of the kernels over one or two spans, and of norm_sums.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "src/kernels/reference/kernels.h"
#include "src/kernels/reference/numbers.h"

namespace amp::kernels::reference_detail {

// In long double: 64 bits of significand, against which a sum in double can be held.
Examined examine(ConstSpan gradient, std::size_t count, float inv_scale) {
  Examined found;
  long double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto product = static_cast<float>(read(gradient, i) * double{inv_scale});
    found.non_finite = found.non_finite || !std::isfinite(product);
    sum += static_cast<long double>(product) * static_cast<long double>(product);
  }
  found.sum_of_squares = static_cast<double>(sum);
  return found;
}

bool scale(Span values, std::size_t count, float factor) {
  bool non_finite = false;
  for (std::size_t i = 0; i < count; ++i) {
    const double product = read(values, i) * double{factor};
    write(values, i, double{static_cast<float>(product)});
    non_finite = non_finite || !std::isfinite(read(values, i));
  }
  return non_finite;
}

void convert(ConstSpan from, Span to, std::size_t count) {
  if (from.format != to.format) {
    for (std::size_t i = 0; i < count; ++i) write(to, i, read(from, i));
  } else if (count > 0) {
    std::memmove(to.data, from.data, count * (to.format == Format::fp32 ? 4 : 2));
  }
}

bool is_rounded(const float* numbers, ConstSpan rounded, std::size_t count) {
  const auto* codes = static_cast<const std::uint16_t*>(rounded.data);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t code = 0;
    write({&code, rounded.format}, 0, numbers[i]);
    const bool both_nan = std::isnan(numbers[i]) && std::isnan(read(rounded, i));
    if (code != codes[i] && !both_nan) return false;
  }
  return true;
}

void count_exponents(ConstSpan values, std::size_t count, ExponentHistogram& histogram) {
  for (std::size_t i = 0; i < count; ++i) {
    const double x = read(values, i);
    if (x == 0)
      ++histogram.zeros;
    else if (!std::isfinite(x))
      ++histogram.counts[255], histogram.infs += std::isinf(x);
    else if (std::abs(x) < 0x1p-126)
      ++histogram.counts[0], ++histogram.subnormal[static_cast<std::size_t>(std::ilogb(x) + 149)];
    else
      ++histogram.counts[static_cast<std::size_t>(std::ilogb(x) + 127)];
  }
}

void norm_sums(ConstSpan gradient, ConstSpan input, const float* mean, const float* rstd,
               std::size_t rows, std::size_t width, float* weight, float* bias) {
  for (std::size_t j = 0; j < width; ++j) {
    double of_weight = 0, of_bias = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      const double g = read(gradient, i * width + j);
      of_weight += g * ((read(input, i * width + j) - double{mean[i]}) * double{rstd[i]});
      of_bias += g;
    }
    if (weight != nullptr) weight[j] = static_cast<float>(double{weight[j]} + of_weight);
    if (bias != nullptr) bias[j] = static_cast<float>(double{bias[j]} + of_bias);
  }
}

}  // namespace amp::kernels::reference_detail
