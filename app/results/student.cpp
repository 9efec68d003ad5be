// Student's t distribution for whole degrees of freedom.
#include "app/results/student.h"

#include <cmath>
#include <numbers>

namespace ampersand {

// With theta = atan(t / sqrt(n)), for an even n
//   sin(theta) (1 + 1/2 cos^2 + (1 3)/(2 4) cos^4 + ... up to cos^(n-2)), and for an odd one
//   2/pi (theta + sin(theta) (cos + 2/3 cos^3 + (2 4)/(3 5) cos^5 + ... up to cos^(n-2))).
double student_probability(double t, std::int64_t degrees) {
  const double theta = std::atan(t / std::sqrt(static_cast<double>(degrees)));
  const double cosine = std::cos(theta);
  const bool odd = degrees % 2 == 1;
  double term = odd ? cosine : 1;
  double sum = 0;
  for (std::int64_t power = odd ? 1 : 0; power <= degrees - 2; power += 2) {
    sum += term;
    term *= cosine * cosine * static_cast<double>(power + 1) / static_cast<double>(power + 2);
  }
  const double series = std::sin(theta) * sum;
  return odd ? 2 / std::numbers::pi * (theta + series) : series;
}

double student_quantile(double probability, std::int64_t degrees) {
  double low = 0, high = 1;
  while (student_probability(high, degrees) < probability) high *= 2;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (student_probability(middle, degrees) < probability ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace ampersand
