// A task of one's own: its data, loss and measure in every command. And the tasks that come with the program, as
// its pages list them.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/program/program.h"
#include "tests/support/folders.h"

namespace ampersand::tests::own_task_test {
namespace {

const std::string kHouses = AMP_OWN_TASK;

class OwnTask : public ProgramTest {
 protected:
  // Prices that are 100 times the area and 30 for each district.
  void write_houses(const std::string& name, std::uint64_t seed = 1) const {
    std::mt19937_64 draw(seed);
    std::ofstream file(path(name));
    file << "area,rooms,age,district,price\n";
    for (int i = 0; i < 400; ++i) {
      const auto area = 30 + draw() % 190, district = draw() % 8;
      file << area << ',' << 1 + area / 30 << ',' << draw() % 100 << ',' << district << ','
           << area + 30 * district << '\n';
    }
  }
  Arguments with_houses(const std::string& command, const Arguments& more = {}) const {
    return joined({command, "--task", kHouses, "--data", "houses.csv", "--threads", "1"}, more);
  }
  std::vector<double> losses_of(const std::string& folder) const {
    std::vector<double> values;
    for (const auto& event : events_of(path(folder + "/metrics.jsonl"), "step"))
      values.push_back(event["loss"]);
    return values;
  }
  Json results_of(const std::string& folder) const {
    return Json::parse(text_of(path(folder + "/results.json")));
  }
};

TEST_F(OwnTask, LearnsAndIsMeasuredInItsOwnWords) {
  write_houses("houses.csv");
  const auto trained =
      run(with_houses("train", {"--precision", "bf16", "--output", "run", "--tensorboard"}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_TRUE(contains(trained.out, "mean error")) << trained.out;
  const auto results = results_of("run");
  EXPECT_EQ(results["settings"]["measures"][0]["key"], "mean_error");
  EXPECT_EQ(results["settings"]["optimizer"], "adam");  // the task's own default
  EXPECT_EQ(results["settings"]["train_samples"], 320);
  const auto error = results["runs"][0]["mean_error"].get<double>();
  EXPECT_LT(error, 15);  // the mean of all prices would miss by 60
  EXPECT_TRUE(contains(text_of(path("run/report.html")), "Test mean error"));
  const auto evaluated = run({"eval", "run", "--threads", "1"});
  EXPECT_TRUE(contains(evaluated.out, "mean error")) << evaluated.out << evaluated.err;
  EXPECT_TRUE(contains(evaluated.out, "of 80 houses")) << evaluated.out;
  const auto as_json = Json::parse(run({"eval", "run", "--json", "--threads", "1"}).out);
  EXPECT_EQ(as_json["mean_error"], error);
  const auto predicted = run({"predict", "run"}).out;
  EXPECT_TRUE(predicted.starts_with("index,output0\n0,")) << predicted;
  EXPECT_EQ(std::ranges::count(predicted, '\n'), 81);
}

TEST_F(OwnTask, IsComparedByItsMeasure) {
  write_houses("houses.csv");
  const auto compared = run(with_houses(
      "compare", {"--precisions", "fp32,bf16", "--seeds", "2", "--epochs", "5", "--output", "c"}));
  ASSERT_EQ(compared.status, 0) << compared.err;
  const auto summary = results_of("c")["summary"];
  ASSERT_EQ(summary.size(), 2U);
  EXPECT_EQ(summary[1]["metric"], "mean_error");
  EXPECT_EQ(summary[1]["scale"], "relative");
  // By logarithms: bf16's error over fp32's, the geometric mean of the two pairs.
  double logarithms = 0;  // bf16's and less fp32's, of two pairs
  const Json results = results_of("c");
  for (const auto& run : results["runs"])
    logarithms += (run["precision"] == "bf16" ? 1 : -1) * std::log(run["mean_error"].get<double>());
  EXPECT_NEAR(summary[1]["difference"].get<double>(), std::expm1(logarithms / 2), 1e-9);
}

TEST_F(OwnTask, IsResumedAsIfItHadNotStopped) {
  write_houses("houses.csv");
  const Arguments common = {"--checkpoint-every", "7", "--precision", "fp16"};
  ASSERT_EQ(
      run(with_houses("train", joined(common, {"--steps", "40", "--output", "whole"}))).status, 0);
  ASSERT_EQ(run(with_houses("train", joined(common, {"--steps", "14", "--output", "cut"}))).status,
            0);
  const auto resumed = run({"train", "--resume", "cut", "--steps", "40"});
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(losses_of("cut"), losses_of("whole"));
  EXPECT_EQ(losses_of("whole").size(), 40U);
}

TEST_F(OwnTask, ItsDataAreNoticedWhereTheyChange) {
  write_houses("houses.csv");
  ASSERT_EQ(run(with_houses("train", {"--steps", "10", "--output", "run"})).status, 0);
  write_houses("houses.csv", 2);
  const auto refused = run({"train", "--resume", "run", "--steps", "20"});
  EXPECT_EQ(refused.status, 3);
  EXPECT_TRUE(contains(refused.err, "the content has changed since the run")) << refused.err;
  EXPECT_EQ(run({"eval", "run", "--changed-data"}).status, 0);
  write_houses("others.csv", 3);
  EXPECT_EQ(run({"eval", "run", "--data", "others.csv"}).status, 0);
}

TEST_F(OwnTask, IsDiagnosedAndAdvised) {
  write_houses("houses.csv");
  const auto healthy = run(with_houses("doctor", {"--precision", "bf16", "--steps", "20"}));
  EXPECT_EQ(healthy.status, 0) << healthy.out << healthy.err;
  const auto faulty = run(with_houses(
      "doctor", {"--precision", "fp16", "--loss-scale", "1e9", "--steps", "20", "--output", "d"}));
  EXPECT_TRUE(contains(faulty.out, "scale")) << faulty.out << faulty.err;
  EXPECT_EQ(run(with_houses("advise", {"--steps", "20", "--output", "a"})).status, 0);
}

TEST_F(OwnTask, TheModelOptionTakesItsLibrary) {
  write_houses("houses.csv");
  const auto trained = run(
      {"train", "--model", kHouses, "--data", "houses.csv", "--steps", "10", "--output", "run"});
  EXPECT_EQ(trained.status, 0) << trained.err;
  EXPECT_EQ(run({"train", "--resume", "run", "--steps", "20"}).status, 0);
}

TEST_F(OwnTask, WhatIsWrongIsSaidInOneLine) {
  write_houses("houses.csv");
  const auto refusal = [&](const Arguments& arguments) {
    const auto outcome = run(arguments);
    EXPECT_NE(outcome.status, 0);
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
    return outcome.err;
  };
  EXPECT_EQ(refusal({"train", "--task", "houses"}),
            "ampersand: --task must be images, text, translation or speech, or LIBRARY.so with a "
            "task of your own, got 'houses'\n");
  EXPECT_TRUE(contains(refusal({"train", "--task", kHouses, "--data", "none.csv"}),
                       "none.csv: cannot be read; give --data a CSV file of houses"));
  EXPECT_TRUE(contains(refusal({"train", "--task", kHouses + ":flats", "--data", "houses.csv"}),
                       "registers houses; choose one as"));
  EXPECT_TRUE(contains(refusal({"train", "--task", AMP_PLUG_IN}), "registers no task"));
  EXPECT_TRUE(contains(refusal(with_houses("train", {"--batch-size", "5000"})),
                       "larger than the 320 training houses"));
  EXPECT_TRUE(contains(refusal(with_houses("train", {"--model", "cnn"})), "--model"));
  EXPECT_TRUE(contains(refusal({"train", "--model", std::string(AMP_PLUG_IN) + ":pooled", "--task",
                                kHouses, "--data", "houses.csv"}),
                       "register a task"));
  std::ofstream(path("bad.csv")) << "area,rooms,age,district,price\n1,2,3,4,5\n1,2,x,4,5\n";
  EXPECT_TRUE(contains(refusal({"train", "--task", kHouses, "--data", "bad.csv"}), "line 3"));
}

// Each batch depends on the model, so one wrong bit before it would change all that follow.
TEST_F(OwnTask, DataThatAreMadeWithTheModelAreTheSameAfterAResume) {
  const Arguments game = {"train",
                          "--task",
                          AMP_GAME_TASK,
                          "--threads",
                          "1",
                          "--precision",
                          "fp16",
                          "--schedule",
                          "constant",
                          "--test-samples",
                          "5",
                          "--train-samples",
                          "32",
                          "--checkpoint-every",
                          "3"};
  ASSERT_EQ(run(joined(game, {"--steps", "10", "--output", "whole"})).status, 0);
  ASSERT_EQ(run(joined(game, {"--steps", "5", "--output", "cut"})).status, 0);
  const auto resumed = run({"train", "--resume", "cut", "--steps", "10"});
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(losses_of("whole").size(), 10U);
  EXPECT_EQ(losses_of("cut"), losses_of("whole"));
  EXPECT_TRUE(run({"predict", "whole"}).out.starts_with("game,steps\n0,"));
  EXPECT_EQ(
      run({"doctor", "--task", AMP_GAME_TASK, "--train-samples", "32", "--steps", "6"}).status, 0);
}

// Each does one thing wrong (faulty_tasks.cpp).
TEST_F(OwnTask, AWrongTaskIsToldWhichMemberIsWrong) {
  const auto outcome = [&](const std::string& name, const Arguments& more = {}) {
    return run(
        joined({"train", "--task", std::string(AMP_FAULTY_TASKS) + ":" + name, "--steps", "4",
                "--batch-size", "4", "--evaluate-every", "2", "--output", name, "--overwrite"},
               more));
  };
  const auto expect = [&](const std::string& name, int status, const std::string& words) {
    const auto ended = outcome(name);
    EXPECT_EQ(ended.status, status) << name << ": " << ended.err;
    EXPECT_TRUE(contains(ended.err, words)) << name << ": " << ended.err;
    EXPECT_EQ(std::ranges::count(ended.err, '\n'), 1) << ended.err;
  };
  EXPECT_EQ(outcome("sound").status, 0) << outcome("sound").err;
  expect("throwing_constructor", 3, "task throwing_constructor: the constructor threw: no luck");
  expect("throwing_batch", 3, "task throwing_batch: Batches::get threw: no luck");
  expect("throwing_loss", 3, "task throwing_loss: loss threw: no luck");
  expect("no_measure", 2, "evaluate must return the measure 'goodness'");
  expect("own_key", 2, "got the key 'step'");
  expect("wrong_default", 2, "the default of --lr has another type");
  expect("unknown_default", 2, "its defaults name '--optimizr'");
  expect("other_samples", 2, "training_batches(2, ...) must have batches of 2 of its 16 samples");
  expect("no_json", 2, "state() must return a JSON object as text, got 'seven'");
  expect("own_state", 2, "its state has 'seed'");
  // What was done before is kept, and the run ends as one whose model threw.
  const auto late = outcome("throwing_evaluation", {"--checkpoint-every", "1"});
  EXPECT_EQ(late.status, 3) << late.err;
  EXPECT_TRUE(contains(late.err, "task throwing_evaluation: evaluate threw: no luck")) << late.err;
  EXPECT_EQ(results_of("throwing_evaluation")["runs"][0]["ending"], "failed");
  EXPECT_TRUE(std::filesystem::exists(path("throwing_evaluation/checkpoints/step-000000001")));
}

TEST_F(OwnTask, TheTableOfTasksInTheDocsIsTheRegistrys) {
  const auto table = run({"info", "--tasks"});
  ASSERT_EQ(table.status, 0) << table.err;
  EXPECT_TRUE(contains(text_of(amp::tests::source_folder() + "/docs/models.md"), table.out))
      << "docs/models.md must quote this:\n"
      << table.out;
}

}  // namespace
}  // namespace ampersand::tests::own_task_test
