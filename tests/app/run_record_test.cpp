// One run out of its events: its history, its end, its memory, and what a run without an end gives.
#include "app/results/run_record.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

namespace ampersand::tests::run_record_test {
namespace {

using nlohmann::json;

json begin(int planned_steps) {
  return {{"event", "run"},
          {"run", 0},
          {"precision", "bf16"},
          {"device", "cpu"},
          {"seed", 3},
          {"policy", "torch"},
          {"loss_scaling", "none"},
          {"planned_steps", planned_steps}};
}

json step(int number, const json& loss, double scale = 1, bool skipped = false) {
  return {{"event", "step"}, {"step", number},     {"loss", loss},
          {"scale", scale},  {"skipped", skipped}, {"seconds", 0.25}};
}

json evaluation(int step, const json& loss, const json& accuracy) {
  return {
      {"event", "evaluation"}, {"step", step}, {"test_loss", loss}, {"test_accuracy", accuracy}};
}

json end(const std::string& ending, int step) {
  return {{"event", "end"}, {"ending", ending}, {"step", step}};
}

json result_of(const std::vector<json>& events) {
  RunRecord record;
  for (const auto& event : events) record.add(event);
  return record.as_json();
}

TEST(RunRecord, TakesTheHeadOfTheRun) {
  const auto run = result_of({begin(1)});
  EXPECT_EQ(run["precision"], "bf16");
  EXPECT_EQ(run["device"], "cpu");
  EXPECT_EQ(run["seed"], 3);
  EXPECT_EQ(run["policy"], "torch");
  EXPECT_EQ(run["loss_scaling"], "none");
}

TEST(RunRecord, AHistoryPointStandsForOneStepUpToTwoHundred) {
  const auto run = result_of({begin(399), step(1, 4.0), step(2, 3.0)});
  EXPECT_EQ(run["history"], json::parse(R"([{"step": 1, "train_loss": 4.0, "scale": 1.0},
                                            {"step": 2, "train_loss": 3.0, "scale": 1.0}])"));
}

// 800 planned steps: a point is the mean of four; the last one of what is left.
TEST(RunRecord, AHistoryPointIsTheMeanOfItsStretch) {
  const auto run = result_of({begin(800), step(1, 4.0), step(2, 3.0), step(3, 2.5), step(4, 2.5),
                              step(5, 2.0), step(6, 1.0)});
  EXPECT_EQ(run["history"], json::parse(R"([{"step": 4, "train_loss": 3.0, "scale": 1.0},
                                            {"step": 6, "train_loss": 1.5, "scale": 1.0}])"));
  EXPECT_EQ(run["train_loss"], 1.5);
  EXPECT_EQ(run["steps"], 6);
  EXPECT_EQ(run["seconds"], 1.5);
}

TEST(RunRecord, AskingForTheResultEndsNoStretch) {
  RunRecord record;
  for (const auto& event : {begin(400), step(1, 4.0)}) record.add(event);
  EXPECT_EQ(record.as_json()["history"][0]["train_loss"], 4.0);
  record.add(step(2, 2.0));
  EXPECT_EQ(record.as_json()["history"], json::parse(R"([{"step": 2, "train_loss": 3.0,
                                                          "scale": 1.0}])"));
}

TEST(RunRecord, AStretchWithALossThatIsNoNumberHasNone) {
  const auto run = result_of({begin(400), step(1, 4.0), step(2, 2.0), step(3, nullptr),
                              step(4, 1.0), step(5, std::numeric_limits<double>::infinity())});
  EXPECT_EQ(run["history"], json::parse(R"([{"step": 2, "train_loss": 3.0, "scale": 1.0},
                                            {"step": 4, "train_loss": null, "scale": 1.0},
                                            {"step": 5, "train_loss": null, "scale": 1.0}])"));
  EXPECT_EQ(run["train_loss"], 3.0);  // the last there is
}

TEST(RunRecord, ACornerWhereTheScaleChanges) {
  const auto run = result_of(
      {begin(800), step(1, 4.0), step(2, 4.0, 0.5), step(3, 4.0, 0.5), step(4, 4.0, 0.5)});
  EXPECT_EQ(run["history"], json::parse(R"([{"step": 2, "scale": 0.5},
                                            {"step": 4, "train_loss": 4.0, "scale": 0.5}])"));
}

TEST(RunRecord, AnEvaluationJoinsThePointOfItsStep) {
  const auto run =
      result_of({begin(400), step(1, 4.0), evaluation(1, 3.5, 0.25), step(2, 2.0), step(3, 1.0),
                 evaluation(3, 1.25, 0.75), evaluation(4, nullptr, 0.5)});
  EXPECT_EQ(run["history"], json::parse(R"([
      {"step": 1, "train_loss": 4.0, "scale": 1.0, "test_loss": 3.5, "test_accuracy": 0.25},
      {"step": 3, "train_loss": 1.5, "scale": 1.0, "test_loss": 1.25, "test_accuracy": 0.75},
      {"step": 4, "train_loss": null, "scale": 1.0, "test_loss": null, "test_accuracy": 0.5}])"));
  EXPECT_TRUE(run["test_loss"].is_null());
  EXPECT_EQ(run["test_accuracy"], 0.5);
  EXPECT_EQ(run["train_loss"], 1.5);
}

TEST(RunRecord, CountsSkippedSteps) {
  const auto run = result_of({begin(10),
                              step(1, 4.0, 8, true),
                              step(2, 4.0, 4),
                              step(3, 4.0, 4, true),
                              {{"event", "flush"}, {"step", 4}, {"scale", 2.0}, {"skipped", true}},
                              {{"event", "flush"}, {"step", 4}, {"skipped", false}}});
  EXPECT_EQ(run["skipped_steps"], 3);
  EXPECT_EQ(run["skipped_at"], json({1, 3, 4}));
}

TEST(RunRecord, MemoryAddsIntegersToTheActivationsButKeepsThemApart) {
  const auto run = result_of({begin(1), json::parse(R"({"event": "memory", "weights": 100,
      "copies": 50, "masters": 0, "gradients": 90, "optimizer": 80, "activations": 70,
      "integers": 8, "other": 5})")});
  EXPECT_EQ(run["memory"], json::parse(R"({"weights": 100, "copies": 50, "masters": 0,
      "gradients": 90, "optimizer": 80, "activations": 78, "other": 5})"));
  EXPECT_EQ(run["activation_bytes"], 70);
  EXPECT_EQ(run["activation_integer_bytes"], 8);
}

TEST(RunRecord, TheEndSaysHowItWent) {
  auto event = end("finished", 2);
  event["final_scale"] = 1024;
  event["peak_memory_bytes"] = 4096;
  event["samples_per_second"] = 12.5;
  const auto run = result_of({begin(2), step(1, 2.0), step(2, 1.0), event});
  EXPECT_EQ(run["ending"], "finished");
  EXPECT_EQ(run["diverged"], false);
  EXPECT_TRUE(run["diverged_at_step"].is_null());
  EXPECT_TRUE(run["stopped"].is_null());
  EXPECT_EQ(run["final_scale"], 1024);
  EXPECT_EQ(run["peak_memory_bytes"], 4096);
  EXPECT_EQ(run["samples_per_second"], 12.5);
}

TEST(RunRecord, ARunThatDivergedHasNoTrainingLoss) {
  const auto run = result_of({begin(9), step(1, 2.0), step(2, nullptr), end("diverged", 2)});
  EXPECT_EQ(run["diverged"], true);
  EXPECT_EQ(run["diverged_at_step"], 2);
  EXPECT_TRUE(run["train_loss"].is_null());
}

TEST(RunRecord, ARunThatTheScalerStoppedSaysWhy) {
  auto event = end("stopped", 1);
  event["reason"] = "too many skips";
  const auto run = result_of({begin(9), step(1, 2.0, 4, true), event});
  EXPECT_EQ(run["diverged"], true);
  EXPECT_EQ(run["diverged_at_step"], 1);
  EXPECT_EQ(run["stopped"], "too many skips");
}

TEST(RunRecord, ARunThatFailedSaysWhereAndWhy) {
  auto event = end("failed", 3);
  event["reason"] = "model x: the model threw";
  event["thrown"] = {{"kind", "other"}, {"op", nullptr}};
  const auto run = result_of({begin(9), step(1, 2.0), step(2, 1.0), event});
  EXPECT_EQ(run["ending"], "failed");
  EXPECT_EQ(run["failed"], true);
  EXPECT_EQ(run["failed_at_step"], 3);
  EXPECT_EQ(run["diverged"], false);
  EXPECT_EQ(run["steps"], 2);
  EXPECT_EQ(run["stopped"], "model x: the model threw");
  EXPECT_EQ(run["thrown"]["kind"], "other");
  EXPECT_TRUE(run["train_loss"].is_null());
}

TEST(RunRecord, ARunWithoutAnEndWasInterrupted) {
  const auto run = result_of({begin(9), step(1, 2.0, 512)});
  EXPECT_EQ(run["ending"], "interrupted");
  EXPECT_EQ(run["diverged"], false);
  EXPECT_TRUE(run["diverged_at_step"].is_null());
  EXPECT_TRUE(run["stopped"].is_null());
  EXPECT_EQ(run["final_scale"], 512);
  EXPECT_EQ(run["steps"], 1);
  EXPECT_EQ(run["train_loss"], 2.0);
}

TEST(RunRecord, ARunWithoutAStepIsEmpty) {
  const auto run = result_of({begin(9), end("interrupted", 0)});
  EXPECT_EQ(run["steps"], 0);
  EXPECT_EQ(run["seconds"], 0);
  EXPECT_TRUE(run["train_loss"].is_null());
  EXPECT_EQ(run["history"], json::array());
}

}  // namespace
}  // namespace ampersand::tests::run_record_test
