// The number formats of the reference.
#include "src/kernels/reference/numbers.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace amp::kernels::reference_detail {
namespace {

struct Shape {
  int digits;        // of the significand, the leading one too
  int min_exponent;  // of the smallest normal number
  double largest;
};

Shape shape_of(Format format) {
  if (format == Format::fp32) return {24, -126, 0x1.fffffep127};
  if (format == Format::fp16) return {11, -14, 65504};
  return {8, -126, 0x1.fep127};
}

// The distance of the numbers around x.
double step_at(double x, const Shape& shape) {
  const int exponent = x == 0 ? shape.min_exponent : std::max(std::ilogb(x), shape.min_exponent);
  return std::ldexp(1.0, exponent - (shape.digits - 1));
}

double nearest(double x, const Shape& shape) {
  if (!std::isfinite(x)) return x;
  const double step = step_at(x, shape);
  const double rounded = std::nearbyint(x / step) * step;
  return std::abs(rounded) > shape.largest
             ? std::copysign(std::numeric_limits<double>::infinity(), x)
             : rounded;
}

// Of a number that fp16 has.
std::uint16_t half_code(double x) {
  const auto sign = static_cast<unsigned>(std::signbit(x)) << 15;
  const double size = std::abs(x);
  if (std::isinf(size)) return static_cast<std::uint16_t>(sign | 0x7C00);
  if (size < 0x1p-14)
    return static_cast<std::uint16_t>(sign | static_cast<unsigned>(size * 0x1p24));
  const int exponent = std::ilogb(size);
  const auto significand = static_cast<unsigned>(std::ldexp(size, 10 - exponent));
  return static_cast<std::uint16_t>(sign | static_cast<unsigned>(exponent + 15) << 10 |
                                    (significand & 0x3FF));
}

// Quiet, with the same payload.
double nan_of(std::uint16_t half) {
  return std::bit_cast<double>(std::uint64_t{0x7FF8} << 48 | std::uint64_t{half & 0x3FFu} << 42);
}

double half_value(std::uint16_t code) {
  const int exponent = code >> 10 & 31;
  const double significand = code & 0x3FF;
  double size =
      exponent == 0 ? std::ldexp(significand, -24) : std::ldexp(significand + 1024, exponent - 25);
  if (exponent == 31)
    size = significand == 0 ? std::numeric_limits<double>::infinity() : nan_of(code);
  return std::copysign(size, (code & 0x8000) != 0 ? -1.0 : 1.0);
}

std::uint16_t nan_code(Format format, double x) {
  const auto sign = static_cast<unsigned>(std::signbit(x)) << 15;
  if (format == Format::bf16) return static_cast<std::uint16_t>(sign | 0x7FC0);
  const auto payload = static_cast<unsigned>(std::bit_cast<std::uint64_t>(x) >> 42 & 0x3FF);
  return static_cast<std::uint16_t>(sign | 0x7E00 | payload);
}

// x is a number of the format, Inf or NaN.
void write_exact(Span values, std::size_t i, double x) {
  if (values.format == Format::fp32) {
    static_cast<float*>(values.data)[i] = static_cast<float>(x);
    return;
  }
  auto& code = static_cast<std::uint16_t*>(values.data)[i];
  if (std::isnan(x))
    code = nan_code(values.format, x);
  else if (values.format == Format::fp16)
    code = half_code(x);
  else
    code = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(x)) >> 16);
}

}  // namespace

double read(ConstSpan values, std::size_t i) {
  if (values.format == Format::fp32) return double{static_cast<const float*>(values.data)[i]};
  const auto code = static_cast<const std::uint16_t*>(values.data)[i];
  if (values.format == Format::fp16) return half_value(code);
  return double{std::bit_cast<float>(static_cast<std::uint32_t>(code) << 16)};
}

void write(Span values, std::size_t i, double x) {
  write_exact(values, i, nearest(x, shape_of(values.format)));
}

void write_at_random(Span values, std::size_t i, double x, std::uint32_t random) {
  const Shape shape = shape_of(values.format);
  if (!(std::abs(x) <= shape.largest)) return write(values, i, x);
  // As many random bits as fp32 has below the format's digits; fp16's subnormal numbers take all.
  const bool small_half = values.format == Format::fp16 && std::abs(x) < 0x1p-14;
  const int bits = small_half ? 16 : 24 - shape.digits;
  const double step = step_at(x, shape), steps = std::abs(x) / step, below = std::floor(steps);
  const double part = std::floor(std::ldexp(steps - below, bits));
  const bool up = part + static_cast<double>(random >> (16 - bits)) >= std::ldexp(1.0, bits);
  write_exact(values, i, std::copysign((below + (up ? 1 : 0)) * step, x));
}

std::uint32_t random_bits(const Noise& noise, Stream stream, std::size_t i) {
  const std::uint64_t element = noise.first + i, pair = element % kGroup / 2;
  const auto counter =
      philox_counter(noise, stream, element / kGroup, static_cast<std::uint32_t>(pair % kCounters));
  const std::uint32_t word = Philox::words(counter, philox_key(noise))[pair / kCounters];
  return element % 2 == 0 ? word & 0xFFFF : word >> 16;
}

double read_weight(const Weights& weights, std::size_t i) {
  if (weights.form == WeightForm::fp32) return double{weights.fp32[i]};
  if (weights.form == WeightForm::split) {
    const std::uint16_t size = weights.low[i] & 0x7FFF;
    auto rest = static_cast<std::int16_t>(weights.extra[i]);
    if ((size == 0 && rest < 0) || (size == 0x7F80 && rest > 0)) rest = 0;
    const std::uint32_t bits = (static_cast<std::uint32_t>(weights.low[i]) << 16) +
                               static_cast<std::uint32_t>(std::int32_t{rest});
    return double{std::bit_cast<float>(bits)};
  }
  const double low = read(Span{weights.low, weights.low_format}, i);
  if (weights.form != WeightForm::kahan) return low;
  const double extra = read(Span{weights.extra, weights.low_format}, i);
  std::uint16_t code = 0;
  const Span half{&code, weights.low_format};
  write(half, 0, low + extra / 2);
  return read(half, 0) == low ? low + extra : low;
}

void write_weight(const Weights& weights, std::size_t i, double x, const Noise& noise) {
  const Span low{weights.low, weights.low_format};
  switch (weights.form) {
    case WeightForm::fp32:
      weights.fp32[i] = static_cast<float>(x);
      if (weights.low != nullptr) write(low, i, double{weights.fp32[i]});
      break;
    case WeightForm::nearest:
      write(low, i, x);
      break;
    case WeightForm::stochastic:
      write_at_random(low, i, x, random_bits(noise, Stream::weights, i));
      break;
    case WeightForm::kahan: {
      write(low, i, x);
      const double rounded = read(low, i);
      const double rest = std::isfinite(rounded) ? x - rounded : 0;
      write({weights.extra, weights.low_format}, i, rest);
      break;
    }
    case WeightForm::split: {
      const auto weight = static_cast<float>(x);
      const auto bits = std::isnan(x) ? 0x7FC00000 : std::bit_cast<std::uint32_t>(weight);
      weights.low[i] = static_cast<std::uint16_t>((bits + 0x8000) >> 16);
      weights.extra[i] = static_cast<std::uint16_t>(bits - (std::uint32_t{weights.low[i]} << 16));
      break;
    }
  }
}

void write_moment(Moment moment, std::size_t i, double x, const Noise& noise, Stream stream) {
  if (moment.format == Format::fp32) return write(moment, i, x);
  write_at_random(moment, i, x, random_bits(noise, stream, i));
}

double read_gradient(const Gradient& gradient, std::size_t i) {
  const auto unscaled = static_cast<float>(read(gradient.scaled, i) * double{gradient.inv_scale});
  const auto used = static_cast<float>(double{unscaled} * double{gradient.clip});
  if (gradient.unscaled.data != nullptr) write(gradient.unscaled, i, double{used});
  return double{used};
}

}  // namespace amp::kernels::reference_detail
