// The mean of several numbers and how far they lie apart.
#include "app/results/mean_deviation.h"

#include <cmath>

namespace ampersand {

MeanDeviation mean_deviation(const std::vector<double>& values) {
  MeanDeviation result;
  if (values.empty()) return result;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) result.mean += value / n;
  if (values.size() == 1) return result;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.deviation = std::sqrt(squares / (n - 1));
  result.standard_error = result.deviation / std::sqrt(n);
  return result;
}

}  // namespace ampersand
