// Student's t against the table of percentage points in Abramowitz and Stegun, 26.10, and against R's qt.
#include "app/results/student.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ampersand::tests::student_test {
namespace {

struct Point {
  double probability;
  std::int64_t degrees;
  double t;
};

TEST(Student, QuantilesAreThoseOfTheTables) {
  const Point points[] = {
      {0.95, 1, 12.7062},  {0.95, 2, 4.30265},  {0.95, 3, 3.18245},  {0.95, 4, 2.77645},
      {0.95, 5, 2.57058},  {0.95, 9, 2.26216},  {0.95, 10, 2.22814}, {0.95, 30, 2.04227},
      {0.95, 60, 2.00030}, {0.95, 99, 1.98422}, {0.90, 1, 6.31375},  {0.90, 2, 2.91999},
      {0.90, 4, 2.13185},  {0.99, 1, 63.6567},  {0.99, 2, 9.92484},  {0.99, 10, 3.16927}};
  for (const auto& [probability, degrees, t] : points)
    EXPECT_NEAR(student_quantile(probability, degrees), t, 2e-5 * t)
        << probability << ' ' << degrees;
}

TEST(Student, ProbabilitiesAreClosedFormsWhereThereAreSome) {
  EXPECT_NEAR(student_probability(1, 1), 0.5, 1e-15);                 // 2 atan(1) / pi
  EXPECT_NEAR(student_probability(2, 2), 2 / std::sqrt(6.0), 1e-15);  // t / sqrt(2 + t^2)
  EXPECT_NEAR(student_probability(1, 3), 0.60899778104422, 1e-13);    // (2 / pi)(pi/6 + sqrt(3)/4)
  EXPECT_EQ(student_probability(0, 7), 0);
}

}  // namespace
}  // namespace ampersand::tests::student_test
