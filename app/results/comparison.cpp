// One precision beside fp32.
#include "app/results/comparison.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "app/results/json_fields.h"
#include "app/results/mean_deviation.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr double kHalfAPoint = 0.005;
constexpr double kOnePercent = 0.01;

struct Pairs {
  std::vector<double> differences = {};
  double spread = 0;  // the sum of p (1 - p) of both accuracies, mean over the pairs
};

Pairs paired(const std::vector<SeedQuality>& ours, const std::vector<SeedQuality>& theirs,
             const Goodness& goodness) {
  Pairs pairs;
  for (const auto& own : ours) {
    const auto other = std::ranges::find(theirs, own.seed, &SeedQuality::seed);
    if (other == theirs.end()) continue;
    // An error of 0 has no logarithm.
    const double difference = goodness.of(own.value) - goodness.of(other->value);
    if (!std::isfinite(difference)) continue;
    pairs.differences.push_back(difference);
    pairs.spread += own.value * (1 - own.value) + other->value * (1 - other->value);
  }
  if (!pairs.differences.empty()) pairs.spread /= static_cast<double>(pairs.differences.size());
  return pairs;
}

using Values = std::vector<double>;

double product(const Values& a, const Values& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Takes the part along `direction` away.
void remove(const Values& direction, Values& from) {
  const double length = product(direction, direction);
  if (length <= 0) return;
  const double share = product(direction, from) / length;
  for (std::size_t i = 0; i < from.size(); ++i) from[i] -= share * direction[i];
}

// Squared residuals about the line (degree 1) or the parabola (2) through the last quarter of the points, by their
// degrees of freedom. There must be at least two points more than the degree.
double residual_variance(const Values& steps, const Values& quality, std::size_t degree) {
  const auto count = std::max(degree + 2, steps.size() / 4);
  const auto first = static_cast<std::ptrdiff_t>(steps.size() - count);
  const Values one(count, 1.0);
  Values x(steps.begin() + first, steps.end()), y(quality.begin() + first, quality.end());
  for (auto& value : x) value /= std::max(1.0, steps.back());
  remove(one, x);
  Values square = x;
  for (auto& value : square) value *= value;
  remove(one, square);
  remove(x, square);
  remove(one, y);
  remove(x, y);
  if (degree == 2) remove(square, y);
  return product(y, y) / static_cast<double>(count - degree - 1);
}

// What a training still learns bends its curve and is no noise: a parabola may follow that, a line is enough near the end.
std::optional<double> swing_of(const Values& steps, const Values& quality) {
  if (steps.size() < 4) return std::nullopt;
  return std::min(residual_variance(steps, quality, 1), residual_variance(steps, quality, 2));
}

struct Curve {
  Values steps = {}, quality = {};
};

Curve evaluations(const json& run, const ComparisonBasis& basis) {
  const auto goodness = goodness_of(basis);
  Curve curve;
  for (const auto& point : run.value("history", json::array())) {
    const auto value = number_in(point, basis.measure.key.c_str());
    if (!value) continue;
    curve.steps.push_back(point.at("step").get<double>());
    curve.quality.push_back(goodness.of(*value));
  }
  return curve;
}

PairedEvidence evidence_of(const Pairs& pairs, const ComparisonBasis& basis) {
  PairedEvidence evidence{.differences = pairs.differences, .late_variance = basis.late_variance};
  const auto moved = paired(basis.perturbed, basis.baseline, goodness_of(basis)).differences;
  if (!moved.empty()) evidence.perturbed = moved.front();
  if (is_relative(basis.measure) || basis.test_samples <= 0) return evidence;
  const auto samples = static_cast<double>(basis.test_samples);
  evidence.sampling_variance = pairs.spread / samples;
  // Of two runs that differ in k samples at least, at best: k / samples^2, the variance of a sign test.
  const double difference = mean_deviation(pairs.differences).mean;
  evidence.least_variance = std::max(std::abs(difference), 1 / samples) / samples;
  return evidence;
}

}  // namespace

double default_margin(const amp::Measure& measure) {
  return is_relative(measure) ? kOnePercent : kHalfAPoint;
}

Goodness goodness_of(const ComparisonBasis& basis) {
  std::vector<double> values;
  for (const auto& run : basis.baseline) values.push_back(run.value);
  return Goodness(basis.measure, mean_deviation(values).mean);
}

std::optional<double> late_variance_of(const std::vector<const json*>& runs,
                                       const ComparisonBasis& basis) {
  double sum = 0;
  int count = 0;
  for (const auto* run : runs) {
    const auto [steps, quality] = evaluations(*run, basis);
    const auto variance = swing_of(steps, quality);
    if (!variance.has_value()) continue;
    sum += *variance;
    ++count;
  }
  return count == 0 ? std::nullopt : std::optional(2 * sum / count);
}

std::optional<double> late_variance_of(const json& run, const json& again,
                                       const ComparisonBasis& basis) {
  const auto ours = evaluations(run, basis), theirs = evaluations(again, basis);
  if (ours.steps.size() < 3 || ours.steps != theirs.steps) return std::nullopt;
  const auto count = std::max<std::size_t>(3, ours.steps.size() / 4);
  double squares = 0;
  for (auto i = ours.steps.size() - count; i < ours.steps.size(); ++i)
    squares += std::pow(ours.quality[i] - theirs.quality[i], 2);
  return squares / static_cast<double>(count);
}

std::optional<ComparedWithFp32> compared(const std::vector<SeedQuality>& quality,
                                         const ComparisonBasis& basis) {
  const auto goodness = goodness_of(basis);
  const auto pairs = paired(quality, basis.baseline, goodness);
  if (pairs.differences.empty()) return std::nullopt;
  const auto judged = judge(evidence_of(pairs, basis), {.margin = goodness.width_of(basis.margin),
                                                        .comparisons = basis.comparisons});
  ComparedWithFp32 result{.difference = goodness.told(judged.difference),
                          .is_relative = is_relative(basis.measure),
                          .finding = judged.finding,
                          .margin = basis.margin,
                          .seeds_needed = judged.seeds_needed,
                          .pairs = std::ssize(pairs.differences),
                          .degrees_of_freedom = judged.degrees};
  if (judged.half_width.has_value()) {
    const double low = goodness.told(judged.difference - *judged.half_width);
    const double high = goodness.told(judged.difference + *judged.half_width);
    result.interval = std::minmax({low, high});
  }
  if (judged.noise.has_value()) {
    result.noise = goodness.width_told(*judged.noise);
    result.within_noise = std::abs(judged.difference) <= *judged.noise;
    result.deviation_of_pairs = goodness.width_told(judged.deviation);
  }
  return result;
}

}  // namespace ampersand
