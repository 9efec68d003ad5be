// Verdicts of pairs of runs, against t tests done by hand.
#include "app/results/paired.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace ampersand::tests::paired_test {
namespace {

constexpr double kHalfAPoint = 0.005;
constexpr double kT2 = 4.30265273;  // 95 %, 2 degrees of freedom

// 0.003 +- 0.002: half of the interval is 4.3027 x 0.002 / sqrt(3) = 0.004968.
const PairedEvidence kThree = {.differences = {0.001, 0.003, 0.005}};

TEST(Paired, ThreePairsAreAPairedTTest) {
  const auto judged = judge(kThree, {.margin = kHalfAPoint});
  EXPECT_NEAR(judged.difference, 0.003, 1e-15);
  EXPECT_NEAR(judged.deviation, 0.002, 1e-15);
  EXPECT_EQ(judged.degrees, 2);
  EXPECT_NEAR(*judged.half_width, kT2 * 0.002 / std::sqrt(3.0), 1e-9);
  EXPECT_NEAR(*judged.noise, *judged.half_width, 1e-12);
  EXPECT_EQ(judged.finding, Finding::unknown);
}

TEST(Paired, EqualIsAnIntervalWithinTheMargin) {
  EXPECT_EQ(judge(kThree, {.margin = 0.0080}).finding, Finding::equal);  // 0.003 + 0.004968
  EXPECT_EQ(judge(kThree, {.margin = 0.0079}).finding, Finding::unknown);
  EXPECT_FALSE(judge(kThree, {.margin = 0.0080}).seeds_needed.has_value());
}

TEST(Paired, WorseAndBetterAreBeyondTheNoise) {
  const auto with = [](double shift, std::int64_t comparisons) {
    return judge({.differences = {shift - 0.002, shift, shift + 0.002}},
                 {.margin = kHalfAPoint, .comparisons = comparisons})
        .finding;
  };
  EXPECT_EQ(with(0.0051, 1), Finding::better);
  EXPECT_EQ(with(-0.0051, 1), Finding::worse);
  EXPECT_EQ(with(0.0049, 1), Finding::unknown);
  // Of three comparisons each is asked for 98.33 %: t = 7.6488, 0.008832 here.
  EXPECT_EQ(with(0.0088, 3), Finding::unknown);
  EXPECT_EQ(with(0.0089, 3), Finding::better);
}

// The larger of |fp32 again - fp32| and the sampling error, with two degrees of freedom.
TEST(Paired, OnePairIsJudgedByAPerturbedRunAndTheSamplingError) {
  const auto width = [](double perturbed, double late) {
    return *judge({.differences = {0.001},
                   .perturbed = perturbed,
                   .late_variance = late * late,
                   .sampling_variance = 0.003 * 0.003},
                  {.margin = kHalfAPoint})
                .half_width;
  };
  EXPECT_NEAR(width(0.002, 0), kT2 * 0.003, 1e-8);
  EXPECT_NEAR(width(-0.004, 0), kT2 * 0.004, 1e-8);
  EXPECT_NEAR(width(0.002, 0.006), kT2 * 0.006, 1e-8);
}

TEST(Paired, WithFewSeedsTheMarginIsNoise) {
  const PairedEvidence exact = {.differences = {-0.004}, .perturbed = 0.0001};
  EXPECT_EQ(*judge(exact, {.margin = kHalfAPoint}).noise, kHalfAPoint);
  EXPECT_EQ(judge({.differences = {-0.004, -0.004, -0.0041}}, {.margin = 0.001}).finding,
            Finding::worse);
}

// (0.001^2 + 0.003^2) / 2 with two degrees: the deviation of the pairs is 0.001 here.
TEST(Paired, TwoPairsAndAPerturbedRunAreTakenTogether) {
  const double d = 0.001 / std::sqrt(2.0);
  const auto judged = judge({.differences = {-d, d}, .perturbed = 0.003}, {.margin = kHalfAPoint});
  EXPECT_EQ(judged.degrees, 2);
  EXPECT_NEAR(judged.deviation, std::sqrt(5e-6), 1e-12);
}

TEST(Paired, WithoutEvidenceThereIsNoInterval) {
  const auto judged = judge({.differences = {-0.5}}, {.margin = kHalfAPoint});
  EXPECT_EQ(judged.finding, Finding::unknown);
  EXPECT_FALSE(judged.half_width.has_value());
  EXPECT_FALSE(judged.noise.has_value());
  EXPECT_FALSE(judged.seeds_needed.has_value());
}

// 12.706 x 0.003 = 3.8 points.
TEST(Paired, WithoutAPerturbedRunOneSeedTellsOnlyWhatIsPlain) {
  const auto finding = [](double difference) {
    return judge({.differences = {difference}, .sampling_variance = 0.003 * 0.003},
                 {.margin = kHalfAPoint})
        .finding;
  };
  EXPECT_EQ(finding(-0.037), Finding::unknown);
  EXPECT_EQ(finding(-0.039), Finding::worse);
}

// A deviation of 0.004: (2.447 + 0.6745) 0.004 / sqrt(7) = 0.0047 is the first below 0.005; and
// 2.776 x 0.004 / sqrt(5) = 0.00497 the first below 0.006.
TEST(Paired, SaysHowManySeedsWouldTell) {
  const auto seeds = [](double difference) {
    return judge({.differences = {difference},
                  .perturbed = 0.004,
                  .sampling_variance = 0.004 * 0.004},
                 {.margin = kHalfAPoint})
        .seeds_needed;
  };
  EXPECT_EQ(seeds(0), 7);
  EXPECT_EQ(seeds(0.006), 5);
  EXPECT_FALSE(
      judge({.differences = {0}, .perturbed = 0.1, .sampling_variance = 0}, {.margin = kHalfAPoint})
          .seeds_needed.has_value());
}

// One side of 95 % with two degrees: t = 2.91999.
TEST(Paired, OneSideAsksForLess) {
  const auto judged = judge({.differences = {0}, .perturbed = 1, .sampling_variance = 0.5},
                            {.margin = 0.1, .one_sided = true});
  EXPECT_NEAR(*judged.noise, 2.91999, 1e-5);
}

TEST(Paired, TheLeastVarianceHoldsForPairsThatAgree) {
  const auto judged =
      judge({.differences = {0.01, 0.01, 0.01}, .least_variance = 1e-4}, {.margin = kHalfAPoint});
  EXPECT_NEAR(judged.deviation, 0.01, 1e-12);
  EXPECT_EQ(judged.finding, Finding::unknown);
}

// Normal noise of runs, where nothing differs: fp32's run is in the pair and in the perturbed pair.
double false_alarms(double noise, double sampling, std::size_t seeds) {
  std::mt19937 generator(5);
  std::normal_distribution<double> normal(0, noise / std::sqrt(2.0));
  int wrong = 0;
  constexpr int kTries = 4000;
  for (int i = 0; i < kTries; ++i) {
    PairedEvidence evidence{.sampling_variance = sampling * sampling};
    double first = 0;
    for (std::size_t k = 0; k < seeds; ++k) {
      const double fp32 = normal(generator);
      if (k == 0) first = fp32;
      evidence.differences.push_back(normal(generator) - fp32);
    }
    if (seeds < 3) evidence.perturbed = normal(generator) - first;
    const auto finding = judge(evidence, {.margin = 1e-6}).finding;
    wrong += finding == Finding::better || finding == Finding::worse ? 1 : 0;
  }
  return 1.0 * wrong / kTries;
}

// Also where runs differ by more than the sampling error, because they have not settled.
TEST(Paired, FalseAlarmsAreRare) {
  for (const double noise : {0.5, 1.0, 2.0, 3.0})
    for (const std::size_t seeds : {1U, 2U})
      EXPECT_LT(false_alarms(noise, 1, seeds), 0.05) << noise;
  for (const std::size_t seeds : {3U, 5U}) EXPECT_NEAR(false_alarms(1, 0, seeds), 0.05, 0.012);
}

}  // namespace
}  // namespace ampersand::tests::paired_test
