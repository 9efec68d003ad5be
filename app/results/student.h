// Student's t distribution for whole degrees of freedom.
#pragma once

#include <cstdint>

namespace ampersand {

// P(|T| <= t) for t >= 0 and degrees >= 1.
// Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
double student_probability(double t, std::int64_t degrees);

// The t with P(|T| <= t) = probability, 0 < probability < 1: 12.706 for 0.95 and 1 degree of freedom.
double student_quantile(double probability, std::int64_t degrees);

}  // namespace ampersand
