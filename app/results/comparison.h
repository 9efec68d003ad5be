// One precision beside fp32 over the runs of several seeds.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "app/results/measures.h"
#include "app/results/paired.h"
#include "app/results/summary_entry.h"

namespace ampersand {

inline constexpr const char* kBaseline = "fp32";  // what precisions are compared with

// The final quality of one run, and what it is a pair by.
struct SeedQuality {
  std::int64_t seed = 0;
  double value = 0;  // of the measure
};

// What all comparisons of one table have in common.
struct ComparisonBasis {
  amp::Measure measure = amp::accuracy_measure();
  std::int64_t test_samples = 0;  // 0: unknown
  double margin = 0;              // of accuracy, or a share of fp32's value
  std::int64_t comparisons = 1;
  std::vector<SeedQuality> baseline = {};   // fp32's
  std::vector<SeedQuality> perturbed = {};  // fp32's, from weights that were moved
  std::optional<double> late_variance = {};
};

// 0.5 points of accuracy, 1 % of what is compared by a share of fp32's: about what one seed of fp32 differs from the
// next by.
double default_margin(const amp::Measure& measure);

// The mean is that of the runs of fp32.
Goodness goodness_of(const ComparisonBasis& basis);

// The variance of the difference of two runs, if each is as far from where it would settle as its late
// evaluations are from a line or a parabola, the nearer one: twice the mean of the squared residuals, over the last quarter of
// each history, at least 4 evaluations. Nothing where no run has 4.
std::optional<double> late_variance_of(const std::vector<const nlohmann::json*>& runs,
                                       const ComparisonBasis& basis);

// Of two trainings that differ by chance alone: the mean square of what they differ by, over the same evaluations, at
// least 3; so that what both learn is no noise. Nothing where they have no such evaluations in common.
std::optional<double> late_variance_of(const nlohmann::json& run, const nlohmann::json& again,
                                       const ComparisonBasis& basis);

// Nothing where no seed is in both.
std::optional<ComparedWithFp32> compared(const std::vector<SeedQuality>& quality,
                                         const ComparisonBasis& basis);

}  // namespace ampersand
