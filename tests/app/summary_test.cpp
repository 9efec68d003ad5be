// What several runs say together: means, deviations, and whether a precision learns as fp32 does.
#include "app/results/summary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/results/verdict.h"

namespace ampersand::tests::summary_test {
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
  return {{"precision", precision}, {"test_accuracy", 0.1},   {"ending", "failed"},
          {"failed", true},         {"failed_at_step", step}, {"stopped", "model x: no"}};
}

json with(json run, const char* name, const json& value) {
  run[name] = value;
  return run;
}

json sentences(const json& runs, double perturbed = 0.9) {
  return verdict(summarize(runs, {.test_samples = 10'000,
                                  .perturbed_runs = json::array({run("fp32", perturbed)})}),
                 runs);
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
      summarize({run("bf16", 0.5), run("fp32", 0.5), run("bf16", 0.7), run("fp32", 0.6)}, {});
  ASSERT_EQ(summary.size(), 2U);
  EXPECT_EQ(summary[0]["precision"], "bf16");
  EXPECT_EQ(summary[0]["metric"], "test_accuracy");
  EXPECT_EQ(summary[0]["runs"], 2);
  EXPECT_EQ(summary[0]["seeds"], 2);
  EXPECT_EQ(summary[0]["diverged"], 0);
  EXPECT_NEAR(summary[0]["mean"], 0.6, 1e-15);
  EXPECT_NEAR(summary[0]["deviation"], 0.14142135623731, 1e-13);
  EXPECT_NEAR(summary[0]["standard_error"], 0.1, 1e-15);
  EXPECT_NEAR(summary[0]["difference"], 0.05, 1e-15);  // of 0 and 0.1
  EXPECT_EQ(summary[1]["precision"], "fp32");
  EXPECT_FALSE(summary[1].contains("difference"));
}

TEST(Summary, OneSeedHasNoDeviation) {
  const auto entry = summarize(json::array({run("fp32", 0.9)}), {.test_samples = 10'000})[0];
  EXPECT_EQ(entry["mean"], 0.9);
  EXPECT_TRUE(entry["deviation"].is_null());
  EXPECT_TRUE(entry["standard_error"].is_null());
}

// One seed: 4.3027 (t, two degrees) times the sampling error of both, sqrt((0.9 x 0.1 + 0.908 x 0.092) / 10000) = 0.0041659,
// which is more than fp32's two runs differ by.
TEST(Summary, OneSeedIsJudgedByThePerturbedRunAndTheSamplingError) {
  const json runs = {run("fp32", 0.9), run("bf16", 0.908)};
  const auto entry = [&](double perturbed) {
    return summarize(
        runs, {.test_samples = 10'000, .perturbed_runs = json::array({run("fp32", perturbed)})})[1];
  };
  const auto small = entry(0.901);
  EXPECT_NEAR(small["difference"], 0.008, 1e-12);
  EXPECT_NEAR(small["noise"], 0.0179243, 1e-6);
  EXPECT_EQ(small["within_noise"], true);
  EXPECT_EQ(small["verdict"], "unknown");
  EXPECT_NEAR(small["interval"][0], -0.0099243, 1e-6);
  EXPECT_NEAR(small["interval"][1], 0.0259243, 1e-6);
  EXPECT_EQ(small["margin"], 0.005);
  EXPECT_EQ(small["pairs"], 1);
  EXPECT_EQ(small["degrees_of_freedom"], 2);
  EXPECT_NEAR(entry(0.89)["noise"], 4.30265273 * 0.01, 1e-8);  // they are a point apart
}

TEST(Summary, OneSeedSaysWorseOnlyBeyondAnyDoubt) {
  const auto verdict_of = [](double accuracy) {
    return summarize(
        {run("fp32", 0.9), run("fp16", accuracy)},
        {.test_samples = 10'000, .perturbed_runs = json::array({run("fp32", 0.9)})})[1]["verdict"];
  };
  EXPECT_EQ(verdict_of(0.886), "unknown");  // the old rule said that they differ
  EXPECT_EQ(verdict_of(0.87), "worse");
  EXPECT_EQ(verdict_of(0.93), "better");
}

json seeded(const char* precision, int seed, double accuracy) {
  return with(run(precision, accuracy), "seed", seed);
}

// The seeds lie points apart, the pairs a tenth of a point.
TEST(Summary, SeveralSeedsAreComparedInPairs) {
  const json runs = {seeded("fp32", 1, 0.90),  seeded("fp16", 1, 0.899), seeded("fp32", 2, 0.92),
                     seeded("fp16", 2, 0.919), seeded("fp16", 3, 0.939), seeded("fp32", 3, 0.942)};
  const auto entry = summarize(runs, {.test_samples = 10'000})[1];
  EXPECT_NEAR(entry["difference"], -0.0016667, 1e-7);  // of -1, -1 and -3 thousandths
  EXPECT_NEAR(entry["deviation_of_pairs"], 0.0011547, 1e-7);
  EXPECT_NEAR(entry["noise"], 0.0028685, 1e-6);  // 4.3027 x 0.0011547 / sqrt(3)
  EXPECT_EQ(entry["verdict"], "equal");
  EXPECT_EQ(entry["pairs"], 3);
  EXPECT_TRUE(entry["seeds_needed"].is_null());
  EXPECT_EQ(summarize(runs, {.test_samples = 10'000, .margin = 0.001})[1]["verdict"], "unknown");
}

TEST(Summary, ASeedThatOnlyOneOfThemFinishedIsNoPair) {
  auto lost = diverged("fp16", 5);
  lost["seed"] = 1;
  const auto entry =
      summarize({seeded("fp32", 1, 0.5), lost, seeded("fp32", 2, 0.9), seeded("fp16", 2, 0.9)},
                {.test_samples = 100})[1];
  EXPECT_EQ(entry["pairs"], 1);
  EXPECT_EQ(entry["difference"], 0);
}

// exp(0.01) - 1 as a share; the noise and the interval as well.
TEST(Summary, PerplexitiesAreComparedByTheirLogarithms) {
  const auto text = [](const char* precision, int seed, double log) {
    return json{{"precision", precision},
                {"seed", seed},
                {"perplexity", std::exp(log)},
                {"ending", "finished"}};
  };
  const auto entry =
      summarize({text("fp32", 1, 3), text("fp32", 2, 4), text("fp32", 3, 5), text("fp16", 1, 3.03),
                 text("fp16", 2, 4.032), text("fp16", 3, 5.034)},
                {})[1];
  EXPECT_EQ(entry["metric"], "perplexity");
  EXPECT_EQ(entry["scale"], "relative");
  EXPECT_NEAR(entry["difference"], std::expm1(0.032), 1e-12);
  EXPECT_NEAR(entry["noise"], std::expm1(4.30265273 * 0.002 / std::sqrt(3.0)), 1e-9);
  EXPECT_EQ(entry["verdict"], "worse");  // a higher perplexity
  EXPECT_NEAR(entry["interval"][0], std::expm1(0.032 - 4.30265273 * 0.002 / std::sqrt(3.0)), 1e-9);
  EXPECT_EQ(entry["margin"], 0.01);
}

// Both rise steeply; they are 1, 2 and 3 points apart: (1 + 4 + 9) / 3 square points.
TEST(Summary, WhatBothTrainingsInFp32LearnIsNoNoise) {
  const auto rising = [](double apart) {
    auto one = run("fp32", 0.9 + 3 * apart);
    one["history"] = {{{"step", 10}, {"test_accuracy", 0.1}},
                      {{"step", 20}, {"test_accuracy", 0.3 + apart}},
                      {{"step", 30}, {"test_accuracy", 0.8 - 2 * apart}},
                      {{"step", 40}, {"test_accuracy", 0.9 + 3 * apart}}};
    return one;
  };
  const auto entry =
      summarize({rising(0), run("fp16", 0.87)}, {.perturbed_runs = json::array({rising(0.01)})})[1];
  EXPECT_NEAR(entry["deviation_of_pairs"], 0.03, 1e-9);  // the last alone is more
  auto back = rising(0.01);
  back["test_accuracy"] = back["history"][3]["test_accuracy"] = 0.9;
  EXPECT_NEAR(summarize({rising(0), run("fp16", 0.87)},
                        {.perturbed_runs = json::array({back})})[1]["deviation_of_pairs"],
              std::sqrt(5e-4 / 3), 1e-9);
}

// The last four evaluations are a parabola but for (1, -3, 3, -1) / 200, squares 20 / 200^2 = 0.0005; twice that is the
// variance of a difference.
TEST(Summary, EvaluationsThatSwingAreNoise) {
  auto swinging = run("fp32", 0.9);
  swinging["history"] = {{{"step", 10}, {"test_accuracy", 0.1}},
                         {{"step", 20}, {"test_accuracy", 0.80 + 0.005}},
                         {{"step", 25}, {"train_loss", 1}},
                         {{"step", 30}, {"test_accuracy", 0.85 - 0.015}},
                         {{"step", 40}, {"test_accuracy", 0.88 + 0.015}},
                         {{"step", 50}, {"test_accuracy", 0.89 - 0.005}}};
  const auto entry =
      summarize({swinging, run("fp16", 0.87)},
                {.test_samples = 10'000, .perturbed_runs = json::array({run("fp32", 0.9)})})[1];
  EXPECT_NEAR(entry["deviation_of_pairs"], std::sqrt(0.001), 1e-9);
  EXPECT_EQ(entry["verdict"], "unknown");
}

TEST(Summary, DivergedRunsHaveNoPartInTheMeans) {
  const auto summary =
      summarize({run("fp32", 0.9), run("fp16", 0.8), diverged("fp16", 7), diverged("bf16", 3)}, {});
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
      summarize({run("fp32", 0.9), run("bf16", 0.88), cut("bf16", 0.2), cut("fp16", 0.1)}, {});
  EXPECT_EQ(summary[1]["mean"], 0.88);
  EXPECT_EQ(summary[1]["seeds"], 1);
  EXPECT_TRUE(summary[1].contains("within_noise"));
  EXPECT_EQ(summary[2]["mean"], 0.1);
  EXPECT_FALSE(summary[2].contains("difference"));
  EXPECT_FALSE(summarize({cut("fp32", 0.5), run("bf16", 0.9)}, {})[1].contains("difference"));
}

TEST(Summary, RatiosAreToTheMeanOfFp32) {
  const auto measured = [](const char* precision, double speed, int bytes) {
    return with(with(run(precision, 0.5), "samples_per_second", speed), "activation_bytes", bytes);
  };
  const auto summary = summarize({measured("fp32", 100, 4000), measured("fp32", 300, 4000),
                                  measured("bf16", 500, 2000), run("fp16", 0.5)},
                                 {});
  EXPECT_EQ(summary[0]["samples_per_second"], 200);
  EXPECT_EQ(summary[0]["speed_ratio"], 1);
  EXPECT_EQ(summary[1]["speed_ratio"], 2.5);
  EXPECT_EQ(summary[1]["activation_ratio"], 0.5);
  EXPECT_TRUE(summary[2]["speed_ratio"].is_null());
}

TEST(Summary, WithoutFp32ThereIsNothingToCompareWith) {
  const auto entry =
      summarize(json::array({with(run("bf16", 0.5), "samples_per_second", 10)}), {})[0];
  EXPECT_FALSE(entry.contains("speed_ratio"));
  EXPECT_FALSE(entry.contains("difference"));
  EXPECT_EQ(sentences({run("bf16", 0.5), run("fp16", 0.1)}), json::array());
}

json measured(const char* precision, double accuracy, double speed, int bytes) {
  return with(with(run(precision, accuracy), "samples_per_second", speed), "activation_bytes",
              bytes);
}

// Three seeds: the same difference each time, but for a hundredth of a point.
json three_seeds(const json& one, double difference) {
  json runs = json::array();
  for (int seed = 0; seed < 3; ++seed) {
    runs.push_back(with(measured("fp32", 0.9, 100, 1000), "seed", seed));
    runs.push_back(
        with(with(one, "test_accuracy", 0.9 + difference + 0.0001 * (seed - 1)), "seed", seed));
  }
  return runs;
}

TEST(Verdict, SaysWhatIsEqualAndWhatItCosts) {
  EXPECT_EQ(
      sentences(three_seeds(measured("bf16", 0, 250, 520), 0.001)),
      json::array({"bf16 equals fp32 within 0.50 points: 90.10 % against 90.00 % (95 % interval "
                   "+0.02 to +0.18 points). It has 2.50 x fp32's speed and 0.52 x its "
                   "activation memory."}));
}

TEST(Verdict, SaysWhatIsWorseOrBetter) {
  EXPECT_EQ(
      sentences({run("fp32", 0.9), run("fp16", 0.85)}),
      json::array({"fp16 is worse than fp32: 85.00 % against 90.00 % (95 % interval -7.01 to -2.99 "
                   "points)."}));
  EXPECT_EQ(sentences({run("fp32", 0.9), run("fp16", 0.95)}),
            json::array(
                {"fp16 is better than fp32: 95.00 % against 90.00 % (95 % interval +3.40 to +6.60 "
                 "points)."}));
}

TEST(Verdict, SaysWhatCannotBeToldAndHowManySeedsWouldTell) {
  EXPECT_EQ(
      sentences({run("fp32", 0.9), run("fp16", 0.9)}),
      json::array({"Cannot tell fp16 from fp32 in this run: 90.00 % against 90.00 % (95 % interval "
                   "-1.83 to +1.83 points); about 5 seeds would (--seeds 5)."}));
  EXPECT_EQ(
      sentences({with(run("fp32", 0), "perplexity", 4.0), with(run("fp16", 0), "perplexity", 4.1)}),
      json::array(
          {"Cannot tell fp16 from fp32 in this run: perplexity 4.100 against 4.000; its noise "
           "was not measured."}));
}

json taken(const json& runs) {
  return takeaway(
      summarize(runs, {.test_samples = 10'000, .perturbed_runs = json::array({run("fp32", 0.9)})}));
}

TEST(Takeaway, NamesWhatSavesMostOfThoseThatAreEqual) {
  auto runs = three_seeds(measured("bf16", 0, 150, 500), 0.001);
  for (const auto& more : three_seeds(measured("fp16", 0, 90, 500), 0.001)) {
    if (more["precision"] == "fp16") runs.push_back(more);
  }
  EXPECT_EQ(
      taken(runs),
      "In short: use bf16. It has 1.50 x fp32's speed and 0.50 x its activation memory, and it "
      "learns as well within 0.50 points.");
}

TEST(Takeaway, SaysWhatToTryWhereTheRunCannotTell) {
  EXPECT_EQ(
      taken({measured("fp32", 0.9, 100, 1000), measured("bf16", 0.9, 150, 500),
             measured("fp16-unscaled", 0.9, 300, 500), measured("fp8-emulated", 0.9, 300, 100)}),
      "In short: try bf16. It has 1.50 x fp32's speed and 0.50 x its activation memory. This run "
      "cannot tell whether it learns as well within 0.50 points; --seeds 5 would.");
}

TEST(Takeaway, StaysWithFp32WhereNothingIsSaved) {
  const json stay =
      "In short: stay with fp32. No other precision here saved time or memory and learned as well.";
  EXPECT_EQ(taken({measured("fp32", 0.9, 100, 1000), measured("bf16", 0.8, 150, 500)}), stay);
  EXPECT_EQ(taken({measured("fp32", 0.9, 100, 1000), measured("bf16", 0.9, 101, 990)}), stay);
  EXPECT_EQ(taken({measured("fp32", 0.9, 100, 1000), diverged("fp16", 3)}), stay);
  EXPECT_TRUE(taken(json::array({run("fp32", 0.9)})).is_null());
  EXPECT_TRUE(taken({run("bf16", 0.9), run("fp16", 0.9)}).is_null());
}

TEST(Verdict, SaysWhatDivergedAndWhere) {
  EXPECT_EQ(sentences({run("fp32", 0.9), run("fp16-unscaled", 0.9), diverged("fp16-unscaled", 40),
                       diverged("fp16-unscaled", 7)}),
            json({"fp16-unscaled went non-finite in 2 of 3 runs (first at step 7).",
                  "Cannot tell fp16-unscaled from fp32 in this run: 90.00 % against 90.00 % (95 % "
                  "interval "
                  "-1.83 to +1.83 points); about 5 seeds would (--seeds 5)."}));
}

TEST(Verdict, SaysWhatFailedWhereAndWhy) {
  const json runs = {run("fp32", 0.9), run("fp16", 0.9), failed("fp16", 9), failed("fp16", 2)};
  EXPECT_EQ(
      sentences(runs),
      json({"fp16 failed in 2 of 3 runs (first at step 2): model x: no.",
            "Cannot tell fp16 from fp32 in this run: 90.00 % against 90.00 % (95 % interval -1.83 "
            "to +1.83 points); about 5 seeds would (--seeds 5)."}));
  const auto summary = summarize(runs, {});
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
}  // namespace ampersand::tests::summary_test
