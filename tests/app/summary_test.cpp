// What several runs say together: means, deviations, and where a difference is more than noise.
#include "app/results/summary.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ampersand::tests {
namespace {

using nlohmann::json;

json run(const std::string& precision, double accuracy) {
  return {{"precision", precision}, {"test_accuracy", accuracy}, {"ending", "finished"}};
}

json diverged(const std::string& precision, int step) {
  return {{"precision", precision},
          {"test_accuracy", 0.1},
          {"ending", "diverged"},
          {"diverged_at_step", step},
          {"diverged", true}};
}

json failed(const std::string& precision, int step) {
  return {{"precision", precision}, {"test_accuracy", 0.1},  {"ending", "failed"},
          {"failed", true},         {"failed_at_step", step}, {"stopped", "model x: no"}};
}

json with(json run, const char* name, const json& value) {
  run[name] = value;
  return run;
}

json sentences(const json& runs, std::int64_t test_samples = 10'000) {
  return verdict(summarize(runs, test_samples), runs);
}

TEST(MeanDeviation, OfTheSample) {
  const auto three = mean_deviation({0.90, 0.92, 0.94});
  EXPECT_NEAR(three.mean, 0.92, 1e-15);
  EXPECT_NEAR(three.deviation, 0.02, 1e-15);                   // sqrt(2 x 0.02^2 / (3 - 1))
  EXPECT_NEAR(three.standard_error, 0.01154700538379, 1e-14);  // 0.02 / sqrt(3)
}

TEST(MeanDeviation, OfOneValueAndOfNone) {
  const auto one = mean_deviation({5});
  EXPECT_EQ(one.mean, 5);
  EXPECT_EQ(one.deviation, 0);
  EXPECT_EQ(one.standard_error, 0);
  EXPECT_EQ(mean_deviation({}).mean, 0);
}

TEST(Summary, HasAnEntryAPrecisionInTheOrderOfItsFirstRun) {
  const auto summary =
      summarize({run("bf16", 0.5), run("fp32", 0.5), run("bf16", 0.7), run("fp32", 0.6)}, 0);
  ASSERT_EQ(summary.size(), 2U);
  EXPECT_EQ(summary[0]["precision"], "bf16");
  EXPECT_EQ(summary[0]["metric"], "test_accuracy");
  EXPECT_EQ(summary[0]["runs"], 2);
  EXPECT_EQ(summary[0]["seeds"], 2);
  EXPECT_EQ(summary[0]["diverged"], 0);
  EXPECT_NEAR(summary[0]["mean"], 0.6, 1e-15);
  EXPECT_NEAR(summary[0]["deviation"], 0.14142135623731, 1e-13);
  EXPECT_NEAR(summary[0]["standard_error"], 0.1, 1e-15);
  EXPECT_NEAR(summary[0]["difference"], 0.05, 1e-15);
  EXPECT_NEAR(summary[0]["noise"], 0.22360679774998, 1e-13);  // 2 sqrt(0.1^2 + 0.05^2)
  EXPECT_EQ(summary[1]["precision"], "fp32");
  EXPECT_FALSE(summary[1].contains("difference"));
}

TEST(Summary, OneSeedHasNoDeviation) {
  const auto entry = summarize(json::array({run("fp32", 0.9)}), 10'000)[0];
  EXPECT_EQ(entry["mean"], 0.9);
  EXPECT_TRUE(entry["deviation"].is_null());
  EXPECT_TRUE(entry["standard_error"].is_null());
}

TEST(Summary, HalfAPointIsAlwaysNoise) {
  const auto within = [](double accuracy) {
    return summarize({run("fp32", 0), run("bf16", accuracy)}, 0)[1];
  };
  EXPECT_EQ(within(0.005)["noise"], 0.005);
  EXPECT_EQ(within(0.005)["within_noise"], true);
  EXPECT_EQ(within(0.00501)["within_noise"], false);
}

// sqrt(0.9 x 0.1 / 10000) = 0.003, and 0.00289 and 0.00286 for 90.8 % and 91 %.
TEST(Summary, OneSeedIsJudgedByTheErrorOfSampling) {
  const auto entry = [](double accuracy, std::int64_t test_samples) {
    return summarize({run("fp32", 0.9), run("bf16", accuracy)}, test_samples)[1];
  };
  EXPECT_NEAR(entry(0.908, 10'000)["noise"], 0.00833153, 1e-8);
  EXPECT_EQ(entry(0.908, 10'000)["within_noise"], true);
  EXPECT_NEAR(entry(0.91, 10'000)["noise"], 0.00829216, 1e-8);
  EXPECT_EQ(entry(0.91, 10'000)["within_noise"], false);
  EXPECT_EQ(entry(0.89, 10'000)["within_noise"], false);
  EXPECT_EQ(entry(0.91, 1'000)["within_noise"], true);
}

// The seeds of fp32 lie 0.25 about their mean, so its standard error is 0.25; bf16's is 0.
TEST(Summary, SeveralSeedsAreJudgedByTwoStandardErrors) {
  const auto within = [](double accuracy) {
    return summarize(
        {run("fp32", 0.25), run("fp32", 0.75), run("bf16", accuracy), run("bf16", accuracy)},
        10'000)[1];
  };
  EXPECT_NEAR(within(0.5)["noise"], 0.5, 1e-12);
  EXPECT_EQ(within(0.9999)["within_noise"], true);
  EXPECT_EQ(within(0.0001)["within_noise"], true);
  EXPECT_EQ(within(1.0001)["within_noise"], false);
}

// Its own error comes from sampling, 0.5 / sqrt(100) = 0.05; that of fp32 from its seeds, 0.25.
TEST(Summary, APrecisionWithOneSeedLeftStillKnowsFp32sDeviation) {
  const auto entry = summarize(
      {run("fp32", 0.25), run("bf16", 0.5), run("fp32", 0.75), diverged("bf16", 3)}, 100)[1];
  EXPECT_NEAR(entry["noise"], 0.50990195135928, 1e-12);  // 2 sqrt(0.25^2 + 0.05^2)
}

TEST(Summary, DivergedRunsHaveNoPartInTheMeans) {
  const auto summary =
      summarize({run("fp32", 0.9), run("fp16", 0.8), diverged("fp16", 7), diverged("bf16", 3)}, 0);
  EXPECT_EQ(summary[1]["runs"], 2);
  EXPECT_EQ(summary[1]["seeds"], 1);
  EXPECT_EQ(summary[1]["diverged"], 1);
  EXPECT_EQ(summary[1]["mean"], 0.8);
  EXPECT_EQ(summary[2]["seeds"], 0);
  EXPECT_FALSE(summary[2].contains("mean"));
  EXPECT_FALSE(summary[2].contains("within_noise"));
}

TEST(Summary, InterruptedRunsAreComparedWithNothing) {
  const auto cut = [](const char* precision, double accuracy) {
    return with(run(precision, accuracy), "ending", "interrupted");
  };
  const auto summary =
      summarize({run("fp32", 0.9), run("bf16", 0.88), cut("bf16", 0.2), cut("fp16", 0.1)}, 0);
  EXPECT_EQ(summary[1]["mean"], 0.88);
  EXPECT_EQ(summary[1]["seeds"], 1);
  EXPECT_TRUE(summary[1].contains("within_noise"));
  EXPECT_EQ(summary[2]["mean"], 0.1);
  EXPECT_FALSE(summary[2].contains("difference"));
  EXPECT_FALSE(summarize({cut("fp32", 0.5), run("bf16", 0.9)}, 0)[1].contains("difference"));
}

TEST(Summary, RatiosAreToTheMeanOfFp32) {
  const auto measured = [](const char* precision, double speed, int bytes) {
    return with(with(run(precision, 0.5), "samples_per_second", speed), "activation_bytes", bytes);
  };
  const auto summary = summarize({measured("fp32", 100, 4000), measured("fp32", 300, 4000),
                                  measured("bf16", 500, 2000), run("fp16", 0.5)},
                                 0);
  EXPECT_EQ(summary[0]["samples_per_second"], 200);
  EXPECT_EQ(summary[0]["speed_ratio"], 1);
  EXPECT_EQ(summary[1]["speed_ratio"], 2.5);
  EXPECT_EQ(summary[1]["activation_ratio"], 0.5);
  EXPECT_TRUE(summary[2]["speed_ratio"].is_null());
}

TEST(Summary, WithoutFp32ThereIsNothingToCompareWith) {
  const auto entry =
      summarize(json::array({with(run("bf16", 0.5), "samples_per_second", 10)}), 100)[0];
  EXPECT_FALSE(entry.contains("speed_ratio"));
  EXPECT_FALSE(entry.contains("difference"));
  EXPECT_EQ(sentences({run("bf16", 0.5), run("fp16", 0.1)}), json::array());
}

TEST(Verdict, SaysWhatKeepsTheAccuracyAndWhatItCosts) {
  const auto measured = [](const char* precision, double accuracy, double speed, int bytes) {
    return with(with(run(precision, accuracy), "samples_per_second", speed), "activation_bytes",
                bytes);
  };
  EXPECT_EQ(sentences({measured("fp32", 0.9, 100, 1000), measured("bf16", 0.901, 250, 520),
                       run("fp16", 0.85)}),
            json({"bf16 keeps fp32's accuracy: 90.10 % against 90.00 %, within noise; "
                  "2.50 x its speed, 0.52 x its activation memory.",
                  "fp16 differs from fp32: 85.00 % against 90.00 %, more than noise."}));
}

TEST(Verdict, SaysWhatDivergedAndWhere) {
  EXPECT_EQ(sentences({run("fp32", 0.9), diverged("fp16-unscaled", 40), run("fp16-unscaled", 0.9),
                       diverged("fp16-unscaled", 7)}),
            json({"fp16-unscaled went non-finite in 2 of 3 runs (first at step 7).",
                  "fp16-unscaled keeps fp32's accuracy: 90.00 % against 90.00 %, within noise."}));
}

TEST(Verdict, SaysWhatFailedWhereAndWhy) {
  const json runs = {run("fp32", 0.9), failed("fp16", 9), failed("fp16", 2), run("fp16", 0.9)};
  EXPECT_EQ(sentences(runs),
            json({"fp16 failed in 2 of 3 runs (first at step 2): model x: no.",
                  "fp16 keeps fp32's accuracy: 90.00 % against 90.00 %, within noise."}));
  const auto summary = summarize(runs, 0);
  EXPECT_EQ(summary[1]["failed"], 2);
  EXPECT_EQ(summary[1]["seeds"], 1);
  EXPECT_EQ(summary[0]["failed"], 0);
}

TEST(Verdict, AFailedBaselineLeavesTheOthersUncompared) {
  EXPECT_EQ(sentences({failed("fp32", 1), run("bf16", 0.9)}),
            json::array({"fp32 failed in 1 of 1 run (first at step 1): model x: no."}));
}

TEST(Verdict, IsSilentAboutFp32Alone) {
  EXPECT_EQ(sentences(json::array({run("fp32", 0.9)})), json::array());
}

}  // namespace
}  // namespace ampersand::tests
