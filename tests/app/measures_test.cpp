// How measures are compared and told: shares, what is positive, and other numbers.
#include "app/results/measures.h"

#include <gtest/gtest.h>

#include <cmath>

#include "app/results/summary.h"

namespace ampersand::tests::measures_test {
namespace {

using amp::MeasureKind;
using nlohmann::json;

const amp::Measure kScore{"score", "mean score", MeasureKind::number, true, 1};
const amp::Measure kError{"mean_error", "mean error", MeasureKind::positive, false, 2};

TEST(Measures, GoToJsonAndBack) {
  for (const auto& measure : {kScore, kError, amp::accuracy_measure(), amp::perplexity_measure()}) {
    const auto back = measure_of(to_json(measure)).value();
    EXPECT_EQ(back.key, measure.key);
    EXPECT_EQ(back.name, measure.name);
    EXPECT_EQ(back.kind, measure.kind);
    EXPECT_EQ(back.higher_is_better, measure.higher_is_better);
    EXPECT_EQ(back.decimals, measure.decimals);
  }
  EXPECT_FALSE(measure_of({{"key", "score"}}).has_value());
  auto odd = to_json(kScore);
  odd["kind"] = "odd";
  EXPECT_FALSE(measure_of(odd).has_value());
  EXPECT_FALSE(measure_of(json::array({1})).has_value());
}

TEST(Measures, OfResultsWithoutAListAreThoseOfTheFirstVersions) {
  EXPECT_EQ(measures_of({{"runs", {{{"perplexity", 3}}}}})[0].key, "perplexity");
  EXPECT_EQ(measures_of({{"runs", {{{"test_accuracy", 0.3}}}}})[0].key, "test_accuracy");
  EXPECT_EQ(measures_of(json::object())[0].key, "test_accuracy");
  EXPECT_EQ(measures_of({{"settings", {{"measures", {to_json(kScore)}}}}})[0].key, "score");
}

TEST(Measures, AreTold) {
  EXPECT_EQ(value_in_words(amp::accuracy_measure(), 0.9123), "91.23 %");
  EXPECT_EQ(value_in_words(amp::perplexity_measure(), 4.31271), "4.313");
  EXPECT_EQ(value_in_words(kScore, -7), "-7.0");
  EXPECT_EQ(column_name(amp::accuracy_measure()), "test accuracy");
  EXPECT_EQ(column_name(amp::bits_per_byte_measure()), "bits/byte");
  EXPECT_EQ(column_name(kError), "mean error");
}

json run_with(const std::string& precision, std::int64_t seed, const amp::Measure& measure,
              double value) {
  return {{"precision", precision}, {"seed", seed}, {measure.key, value}};
}

json second_of(const amp::Measure& measure, double ours, double fp32) {
  json runs = json::array();
  for (int seed = 0; seed < 3; ++seed)
    runs.push_back(run_with("fp32", seed, measure, fp32 + 0.001 * seed));
  for (int seed = 0; seed < 3; ++seed)
    runs.push_back(run_with("bf16", seed, measure, ours + 0.001 * seed));
  return summarize(runs, {.measures = {measure}})[1];
}

TEST(Comparison, OfAnErrorIsBetterWhereItIsLower) {
  const auto entry = second_of(kError, 50, 100);
  EXPECT_EQ(entry["metric"], "mean_error");
  EXPECT_EQ(entry["scale"], "relative");
  EXPECT_NEAR(entry["difference"].get<double>(), -0.5, 1e-4);  // half of fp32's
  EXPECT_EQ(entry["verdict"], "better");
  EXPECT_EQ(second_of(kError, 200, 100)["verdict"], "worse");
  EXPECT_EQ(second_of(kError, 100.1, 100)["verdict"], "equal");
}

TEST(Comparison, OfANumberIsAShareOfFp32s) {
  const auto entry = second_of(kScore, -150, -200);  // a score may be negative
  EXPECT_NEAR(entry["difference"].get<double>(), 0.25, 1e-4);
  EXPECT_EQ(entry["verdict"], "better");
  EXPECT_EQ(second_of(kScore, 150, 200)["verdict"], "worse");
  EXPECT_NEAR(second_of(kScore, 150, 200)["difference"].get<double>(), -0.25, 1e-4);
  EXPECT_EQ(second_of(kScore, 3, 0)["verdict"], "better");  // nothing to take a share of
}

}  // namespace
}  // namespace ampersand::tests::measures_test
