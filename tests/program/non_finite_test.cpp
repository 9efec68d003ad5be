// Training that goes non-finite: `train` says so and where, `compare` goes on with the others, and
// both keep what was recorded.
#include "tests/program/program.h"

namespace ampersand::tests::non_finite_test {
namespace {

using NonFinite = ProgramTest;

// Weights of about 1e28 after the first step; the four layers of the second pass overflow.
TEST_F(NonFinite, TrainSaysAtWhichStep) {
  const auto outcome = run(small("train", "results", {"--lr", "1e30"}));
  EXPECT_EQ(outcome.status, 4);
  EXPECT_EQ(outcome.err,
            "ampersand: training in fp32 went non-finite at step 2: the loss is inf or nan; lower "
            "--lr, or clip with --max-grad-norm\n");
  EXPECT_TRUE(contains(outcome.out, "fp32 went non-finite in 1 of 1 run (first at step 2).\n"));
  EXPECT_TRUE(contains(outcome.out, "non-finite at step 2\n"));

  const auto steps = events_of(path("results/metrics.jsonl"), "step");
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_TRUE(steps[0]["loss"].is_number());
  EXPECT_TRUE(steps[1]["loss"].is_null());
  const auto results = json_of(path("results/results.json"));
  EXPECT_EQ(results["interrupted"], false);
  EXPECT_EQ(results["runs"][0]["diverged"], true);
  EXPECT_EQ(results["runs"][0]["diverged_at_step"], 2);
  EXPECT_EQ(results["runs"][0]["ending"], "diverged");
  EXPECT_TRUE(results["runs"][0]["train_loss"].is_null());
  EXPECT_TRUE(contains(text_of(path("results/report.html")), "diverged at step 2"));
}

// A loss times 1e30 has no gradient that fp16 can hold, so each step is skipped.
TEST_F(NonFinite, CompareGoesOnWithTheOthers) {
  const auto outcome =
      run(small("compare", "results",
                {"--precisions", "fp32,fp16-scale-1e30,bf16", "--max-consecutive-skips", "3"}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_FALSE(contains(outcome.err, "ampersand:")) << outcome.err;
  EXPECT_TRUE(
      contains(outcome.out, "fp16-scale-1e30 went non-finite in 1 of 1 run (first at step 3).\n"));
  const auto results = json_of(path("results/results.json"));
  ASSERT_EQ(results["runs"].size(), 3U);
  EXPECT_EQ(results["runs"][0]["diverged"], false);
  EXPECT_EQ(results["runs"][1]["diverged"], true);
  EXPECT_EQ(results["runs"][1]["diverged_at_step"], 3);
  EXPECT_EQ(results["runs"][1]["ending"], "stopped");
  // It never made a step, and has no more than the norm and the flag of the last it skipped.
  EXPECT_EQ(results["runs"][1]["memory"]["optimizer"], 8);
  EXPECT_EQ(results["runs"][2]["diverged"], false);
  EXPECT_EQ(results["runs"][2]["steps"], 4);
  EXPECT_EQ(results["summary"][1]["diverged"], 1);
  EXPECT_FALSE(results["summary"][1].contains("mean"));
  EXPECT_TRUE(results["summary"][2].contains("within_noise"));
}

TEST_F(NonFinite, AHundredSkipsInARowEndARun) {
  const auto outcome =
      run(small("train", "results", {"--precision", "fp16-scale-1e30", "--epochs", "30"}));
  EXPECT_EQ(outcome.status, 4);
  const std::string begin =
      "ampersand: training in fp16-scale-1e30 went non-finite at step 100: GradScaler: 100 steps "
      "in a row were skipped";
  EXPECT_TRUE(outcome.err.starts_with(begin)) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;

  const auto steps = events_of(path("results/metrics.jsonl"), "step");
  ASSERT_EQ(steps.size(), 100U);
  for (const auto& step : steps) EXPECT_EQ(step["skipped"], true);
  const auto run = json_of(path("results/results.json"))["runs"][0];
  EXPECT_EQ(run["steps"], 100);
  EXPECT_EQ(run["skipped_steps"], 100);
  EXPECT_EQ(run["diverged_at_step"], 100);
  EXPECT_TRUE(run["stopped"].get<std::string>().starts_with("GradScaler: 100 steps in a row"));
}

TEST_F(NonFinite, WithoutALimitSkipsGoOnToTheEnd) {
  const auto outcome = run(
      small("train", "results",
            {"--precision", "fp16-scale-1e30", "--epochs", "30", "--max-consecutive-skips", "0"}));
  EXPECT_EQ(outcome.status, 4) << outcome.err;  // nothing was learned
  const auto run = json_of(path("results/results.json"))["runs"][0];
  EXPECT_EQ(run["ending"], "stopped");
  EXPECT_EQ(run["steps"], 120);
  EXPECT_EQ(run["skipped_steps"], 120);
  EXPECT_EQ(run["final_scale"].get<float>(), 1e30F);
  // Nothing was learned: each evaluation sees the weights of the beginning.
  const auto evaluations = events_of(path("results/metrics.jsonl"), "evaluation");
  ASSERT_EQ(evaluations.size(), 60U);
  for (const auto& evaluation : evaluations)
    EXPECT_EQ(evaluation["test_loss"], evaluations[0]["test_loss"]);
}

// Dynamic scaling takes a loss that is nan for one that was scaled too far, until it has had
// enough.
TEST_F(NonFinite, DynamicScalingHalvesTheScaleAtEachSkip) {
  const auto outcome =
      run(small("train", "results",
                {"--lr", "1e30", "--loss-scale", "dynamic", "--max-consecutive-skips", "2"}));
  EXPECT_EQ(outcome.status, 4);
  const auto steps = events_of(path("results/metrics.jsonl"), "step");
  ASSERT_EQ(steps.size(), 3U);  // the first makes the weights huge; the others are skipped
  EXPECT_EQ(steps[0]["skipped"], false);
  EXPECT_EQ(steps[0]["scale"], 65536);
  EXPECT_EQ(steps[1]["scale"], 65536);
  EXPECT_EQ(steps[2]["scale"], 32768);
  EXPECT_EQ(json_of(path("results/results.json"))["runs"][0]["final_scale"], 16384);
}

// Nothing was learned, so it is no success; what there is can be looked at and gone on with.
TEST_F(NonFinite, ARunOfSkippedStepsAloneIsNoSuccess) {
  const auto outcome = run(small("train", "results", {"--precision", "fp16-scale-1e38"}));
  EXPECT_EQ(outcome.status, 4);
  EXPECT_EQ(outcome.err.substr(outcome.err.find("ampersand: ")),
            "ampersand: training in fp16-scale-1e38 went non-finite at step 4: every step was "
            "skipped for "
            "gradients that were not finite, so nothing was learned; train longer, or begin with a "
            "lower --loss-scale\n");
  const auto run_of = json_of(path("results/results.json"))["runs"][0];
  EXPECT_EQ(run_of["skipped_steps"], 4);
  EXPECT_EQ(run_of["ending"], "stopped");
  EXPECT_TRUE(std::filesystem::exists(path("results/checkpoints/step-000000004")));
  // With micro-batches that make one step of four.
  EXPECT_EQ(run(small("train", "window", {"--precision", "fp16-scale-1e38", "--accumulation", "4"}))
                .status,
            4);
  // One step that was taken is enough.
  EXPECT_EQ(
      run(small("train", "falling", {"--precision", "fp16", "--loss-scale", "dynamic"})).status, 0);
}

}  // namespace
}  // namespace ampersand::tests::non_finite_test
