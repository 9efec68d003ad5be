// Whether trainings in two precisions differ, from pairs of runs with the same seed and batches.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace ampersand {

constexpr std::int64_t kPairsEnough =
    3;  // from so many pairs on their own deviation tells the noise

// What is known of a difference and of the noise in it. All in one unit; the variances are those of the
// difference of two runs.
struct PairedEvidence {
  std::vector<double> differences = {};  // to fp32, of each pair; higher is better
  std::optional<double> perturbed = {};  // fp32 from weights that were moved a little, minus fp32
  std::optional<double> late_variance = {};  // from how late evaluations of fp32 swing
  // An upper bound for trainings that have settled: the sampling error of an accuracy.
  std::optional<double> sampling_variance = {};
  double least_variance =
      0;  // no smaller one can be told: one sample of the test data more or less
};

struct PairedQuestion {
  double margin = 0;             // smaller differences count as none
  std::int64_t comparisons = 1;  // with the same fp32 in one table
  bool one_sided = false;        // asks for worse alone
};

enum class Finding { equal, better, worse, unknown };

struct Judgement {
  Finding finding = Finding::unknown;
  double difference = 0;  // the mean of the pairs
  // Half of the 95 % interval of the difference. Nothing: no evidence of noise.
  std::optional<double> half_width = {};
  // A difference up to this is within noise, at 95 % for all comparisons together.
  std::optional<double> noise = {};
  double deviation = 0;  // of one pair's difference
  std::int64_t degrees = 0;
  // Of an unknown one: the least number of seeds, 3 to 100, with which it would probably be known.
  std::optional<std::int64_t> seeds_needed = {};
};

// equal: the 95 % interval lies within +-margin, which is an equivalence test of two one-sided t tests.
// Else worse or better: the difference is beyond the noise. Else unknown.
//
// The deviation of one pair's difference, and its degrees of freedom:
//   3 pairs and more: that of the pairs, n - 1, as in a paired t test.
//   fewer: the largest of what the pairs and the perturbed run show together, of late_variance and of
//   sampling_variance. Each pair but one and the perturbed run count as a degree, and beside one pair the
//   sampling error does. The noise is at least the margin then.
// There must be at least one pair.
Judgement judge(const PairedEvidence& evidence, const PairedQuestion& question);

}  // namespace ampersand
