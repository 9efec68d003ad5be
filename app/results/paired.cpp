// Whether trainings in two precisions differ.
#include "app/results/paired.h"

#include <algorithm>
#include <cmath>
#include <ranges>

#include "app/results/mean_deviation.h"
#include "app/results/student.h"

namespace ampersand {
namespace {

constexpr double kConfidence = 0.95;
constexpr std::int64_t kMostSeeds = 100;
constexpr double kHalf = 0.6745;  // half of all normal values lie within so many deviations

struct Noise {
  double variance = 0;
  double planned = 0;  // what more seeds would probably show
  std::int64_t degrees = 0;
};

Noise noise_of_few(const PairedEvidence& evidence, double pair_variance, std::int64_t pairs) {
  double squares = static_cast<double>(pairs - 1) * pair_variance;
  Noise noise{.degrees = pairs - 1};
  if (evidence.perturbed.has_value()) {
    squares += *evidence.perturbed * *evidence.perturbed;
    ++noise.degrees;
  }
  if (noise.degrees > 0) noise.variance = squares / static_cast<double>(noise.degrees);
  if (evidence.sampling_variance.has_value()) {
    // Of trainings that have settled a good half of the bound is usual.
    const double bound = *evidence.sampling_variance;
    noise.planned = noise.degrees > 0 ? (noise.variance + bound) / 2 : bound;
    if (pairs == 1) ++noise.degrees;
  } else {
    noise.planned = noise.degrees > 0 ? noise.variance : evidence.late_variance.value_or(0);
  }
  // Late evaluations are no second run: they count where there is nothing else.
  if (noise.degrees == 0 && evidence.late_variance.has_value()) noise.degrees = 1;
  noise.variance = std::max({noise.variance, evidence.late_variance.value_or(0),
                             evidence.sampling_variance.value_or(0), evidence.least_variance});
  return noise;
}

// How sure a two-sided t must be, for so many comparisons together (Bonferroni).
double corrected(const PairedQuestion& question) {
  const double wrong = (1 - kConfidence) / static_cast<double>(question.comparisons);
  return 1 - (question.one_sided ? 2 * wrong : wrong);
}

// Either an interval that would lie within the margin in half of the cases if nothing differs, or the
// difference as it is now beyond the noise.
std::optional<std::int64_t> seeds_for(const Judgement& now, double variance, std::int64_t pairs,
                                      const PairedQuestion& question) {
  const auto are_too_few = [&](std::int64_t seeds) {
    const double error = std::sqrt(variance / static_cast<double>(seeds));
    const auto times = [&](double sure) { return student_quantile(sure, seeds - 1) * error; };
    return times(kConfidence) + kHalf * error > question.margin &&
           times(corrected(question)) >= std::abs(now.difference);
  };
  const auto numbers = std::views::iota(std::max(kPairsEnough, pairs + 1), kMostSeeds + 1);
  const auto enough = std::ranges::partition_point(numbers, are_too_few);
  return enough == numbers.end() ? std::nullopt : std::optional(*enough);
}

}  // namespace

Judgement judge(const PairedEvidence& evidence, const PairedQuestion& question) {
  const auto pairs = std::ssize(evidence.differences);
  const auto measured = mean_deviation(evidence.differences);
  const double pair_variance = measured.deviation * measured.deviation;
  const double measured_variance = std::max(pair_variance, evidence.least_variance);
  const auto noise = pairs >= kPairsEnough ? Noise{measured_variance, measured_variance, pairs - 1}
                                           : noise_of_few(evidence, pair_variance, pairs);
  Judgement result;
  result.difference = measured.mean;
  result.degrees = noise.degrees;
  if (noise.degrees == 0) return result;
  result.deviation = std::sqrt(noise.variance);
  const double error = result.deviation / std::sqrt(static_cast<double>(pairs));
  result.half_width = student_quantile(kConfidence, noise.degrees) * error;
  result.noise = student_quantile(corrected(question), noise.degrees) * error;
  if (pairs < kPairsEnough) result.noise = std::max(*result.noise, question.margin);
  const double apart = std::abs(result.difference);
  if (apart + *result.half_width <= question.margin) {
    result.finding = Finding::equal;
  } else if (apart > *result.noise) {
    result.finding = result.difference > 0 ? Finding::better : Finding::worse;
  } else {
    result.seeds_needed = seeds_for(result, noise.planned, pairs, question);
  }
  return result;
}

}  // namespace ampersand
