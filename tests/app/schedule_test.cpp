// Learning rates: values worked out by hand.
#include "app/training/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ampersand::tests::schedule_test {
namespace {

TEST(Schedule, ConstantStays) {
  const Schedule schedule{"constant", 0.1, 0, 10};
  for (const std::int64_t done : {0, 5, 9, 100}) EXPECT_EQ(learning_rate(schedule, done), 0.1);
}

TEST(Schedule, LinearFallsToZero) {
  const Schedule schedule{"linear", 0.8, 0, 4};
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 0), 0.8);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1), 0.6);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 3), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 4), 0);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 9), 0);
}

TEST(Schedule, CosineIsHalfWayInTheMiddle) {
  const Schedule schedule{"cosine", 0.8, 0, 8};
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 0), 0.8);
  EXPECT_NEAR(learning_rate(schedule, 2), 0.4 * (1 + std::sqrt(0.5)), 1e-15);
  EXPECT_NEAR(learning_rate(schedule, 4), 0.4, 1e-15);
  EXPECT_NEAR(learning_rate(schedule, 8), 0, 1e-15);
}

TEST(Schedule, WarmUpRisesInEqualStepsToTheFullRate) {
  for (const char* kind : {"constant", "linear", "cosine"}) {
    const Schedule schedule{kind, 1.0, 4, 12};
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 0), 0.25) << kind;
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 3), 1.0) << kind;
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 4), 1.0) << kind;
  }
  EXPECT_DOUBLE_EQ(learning_rate({"linear", 1.0, 4, 12}, 8), 0.5);
}

TEST(Schedule, AWarmUpLongerThanTheRunIsNoDivisionByZero) {
  EXPECT_DOUBLE_EQ(learning_rate({"cosine", 1.0, 10, 5}, 4), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate({"cosine", 1.0, 5, 5}, 5), 1.0);
}

}  // namespace
}  // namespace ampersand::tests::schedule_test
