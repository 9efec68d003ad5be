// The mean of several numbers and how far they lie apart.
#pragma once

#include <vector>

namespace ampersand {

struct MeanDeviation {
  double mean = 0;
  double deviation = 0;       // of the sample (n - 1); 0 for one value
  double standard_error = 0;  // deviation / sqrt(n)
};
MeanDeviation mean_deviation(const std::vector<double>& values);

}  // namespace ampersand
