// Numbers of every format as doubles, by arithmetic instead of bits, and weights and moments so.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/kernels/kernels.h"
#include "src/kernels/philox.h"

namespace amp::kernels::reference_detail {

double read(ConstSpan values, std::size_t i);
inline double read(Span values, std::size_t i) {
  return read(ConstSpan{values.data, values.format}, i);
}
// To nearest even.
void write(Span values, std::size_t i, double x);
// Up if the part between the neighbours, plus 16 random bits as a fraction, reaches 1.
void write_at_random(Span values, std::size_t i, double x, std::uint32_t random);

std::uint32_t random_bits(const Noise& noise, Stream stream, std::size_t i);

double read_weight(const Weights& weights, std::size_t i);
void write_weight(const Weights& weights, std::size_t i, double x, const Noise& noise);

void write_moment(Moment moment, std::size_t i, double x, const Noise& noise, Stream stream);

// The gradient as an update uses it; writes `unscaled`.
double read_gradient(const Gradient& gradient, std::size_t i);

}  // namespace amp::kernels::reference_detail
