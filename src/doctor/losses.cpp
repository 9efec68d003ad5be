// Whether losses are like fp32's.
#include <algorithm>
#include <cmath>

#include "src/doctor/case_file.h"

namespace amp::doctor {
namespace {

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? std::nan("") : sum / static_cast<double>(values.size());
}

std::vector<double> last_quarter(const std::vector<double>& losses) {
  const auto count = std::max<std::size_t>(1, losses.size() / 4);
  return {losses.end() - static_cast<std::ptrdiff_t>(std::min(count, losses.size())), losses.end()};
}

double standard_error(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double center = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - center) * (value - center);
  const auto n = static_cast<double>(values.size());
  return std::sqrt(sum / (n - 1) / n);
}

}  // namespace

double late_mean(const std::vector<double>& losses) { return mean(last_quarter(losses)); }

double tolerance_of(const std::vector<double>& losses, const std::vector<double>& reference,
                    const std::vector<double>& again) {
  const auto size = std::min(losses.size(), reference.size());
  std::vector<double> differences;
  for (std::size_t i = size - size / 4; i < size; ++i)
    differences.push_back(losses[i] - reference[i]);
  const double noise = 2 * standard_error(differences);
  const double first = reference.empty() ? 0 : std::abs(reference.front());
  if (!again.empty()) {
    // One more run tells the spread only roughly, so it counts three times, and at least half a
    // percent of the first loss.
    const double apart = std::abs(late_mean(again) - late_mean(reference));
    return std::max({3 * apart, noise, 0.005 * first});
  }
  return std::max({0.05 * std::abs(late_mean(reference)), 0.02 * first, noise});
}

}  // namespace amp::doctor
