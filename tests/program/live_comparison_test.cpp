// ampersand compare --inspect: low precision op by op beside fp32.
#include <set>

#include "tests/program/program.h"

namespace ampersand::tests::live_comparison_test {
namespace {

using LiveComparison = ProgramTest;

TEST_F(LiveComparison, ShowsEachOpLayerAndGradient) {
  const auto outcome =
      run(small("compare", "out", {"--precisions", "fp32,bf16,fp16", "--inspect=3"}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto all = json_of(path("out/inspect.json"));
  EXPECT_EQ(all["every"], 3);
  ASSERT_EQ(all["runs"].size(), 2U);  // there is nothing beside fp32
  for (const auto& one : all["runs"]) {
    SCOPED_TRACE(one["precision"]);
    EXPECT_EQ(one["format"], one["precision"]);
    EXPECT_EQ(one["steps"], Json({1, 4}));
    EXPECT_EQ(one["sentences"].size(), 3U);
    EXPECT_TRUE(contains(one["sentences"][2], "from the model's inputs on")) << one["sentences"][2];
    ASSERT_FALSE(one["end_to_end"].empty());
    EXPECT_LT(one["end_to_end"].back()["relative_error"], 0.5);
    EXPECT_TRUE(one["first_departure"].is_null());
    std::set<std::string> forward, backward;
    for (const auto& layer : one["layers"]) {
      (layer["pass"] == "forward" ? forward : backward).insert(layer["module"]);
      EXPECT_LT(layer["relative_error"], 0.02) << layer;
      EXPECT_GT(layer["cosine"], 0.999) << layer;
      EXPECT_EQ(layer["lost"], 0) << layer;
    }
    for (const char* module : {"conv1", "conv2", "hidden", "output"})
      EXPECT_TRUE(forward.contains(module) && backward.contains(module)) << module;
    ASSERT_EQ(one["parameters"].size(), 8U);
    for (const auto& parameter : one["parameters"]) {
      EXPECT_GT(parameter["compared"], 0) << parameter;
      EXPECT_LT(parameter["relative_error"], 0.2) << parameter;
    }
    const auto sentence = one["sentences"][0].get<std::string>();
    EXPECT_TRUE(sentence.starts_with("no op departs from fp32: on the same inputs, ")) << sentence;
    EXPECT_TRUE(contains(outcome.out, sentence));
  }
}

TEST_F(LiveComparison, APageForEachAndALinkFromTheReport) {
  ASSERT_EQ(run(small("compare", "out", {"--precisions", "fp32,bf16", "--inspect=2"})).status, 0);
  const auto page = text_of(path("out/inspect-bf16.html"));
  EXPECT_TRUE(contains(page, "<h1>bf16 beside fp32, op by op</h1>"));
  EXPECT_TRUE(contains(page, "Layer by layer"));
  EXPECT_FALSE(contains(page, "{{"));
  EXPECT_FALSE(contains(page, "<script src"));
  EXPECT_FALSE(std::filesystem::exists(path("out/inspect-fp32.html")));
  const std::string link = "<a href=\"inspect-bf16.html\">bf16</a>";
  EXPECT_TRUE(contains(text_of(path("out/report.html")), link));
  ASSERT_EQ(run({"report", "out"}).status, 0);  // again, from the metrics
  EXPECT_TRUE(contains(text_of(path("out/report.html")), link));
}

TEST_F(LiveComparison, ChangesNothingOfTheTraining) {
  const Arguments precisions = {"--precisions", "bf16,fp16"};
  ASSERT_EQ(run(small("compare", "plain", precisions)).status, 0);
  ASSERT_EQ(run(small("compare", "watched", {"--precisions", "bf16,fp16", "--inspect=3"})).status,
            0);
  const auto plain = json_of(path("plain/results.json"));
  const auto watched = json_of(path("watched/results.json"));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(plain["runs"][i]["train_loss"], watched["runs"][i]["train_loss"]);
    EXPECT_EQ(plain["runs"][i]["test_loss"], watched["runs"][i]["test_loss"]);
    EXPECT_EQ(plain["runs"][i]["activation_bytes"], watched["runs"][i]["activation_bytes"]);
    EXPECT_FALSE(plain["runs"][i].contains("inspection"));
  }
}

TEST_F(LiveComparison, TheFirstSeedAloneIsInspected) {
  ASSERT_EQ(
      run(small("compare", "out", {"--precisions", "bf16", "--seeds", "2", "--inspect"})).status,
      0);
  const auto all = json_of(path("out/inspect.json"));
  EXPECT_EQ(all["every"], 100);
  ASSERT_EQ(all["runs"].size(), 1U);
  EXPECT_EQ(all["runs"][0]["seed"], 0);
}

TEST_F(LiveComparison, AccumulatedGradientsAreComparedMicroBatchByMicroBatch) {
  ASSERT_EQ(
      run(small("compare", "out", {"--precisions", "fp16", "--accumulation", "2", "--inspect=1"}))
          .status,
      0);
  const auto one = json_of(path("out/inspect.json"))["runs"][0];
  EXPECT_EQ(one["steps"], Json({1, 2, 3, 4}));
  for (const auto& parameter : one["parameters"])
    EXPECT_LT(parameter["relative_error"], 0.2) << parameter;  // not twice as large
}

// There is no fp32 pass with weights that are fp16, but there are ops.
TEST_F(LiveComparison, ModelsInLowPrecisionAreComparedOpByOp) {
  ASSERT_EQ(run(small("compare", "out", {"--precisions", "O2", "--inspect=2"})).status, 0);
  const auto all = json_of(path("out/inspect.json"));
  const auto& one = all["runs"][0];
  EXPECT_GT(one["ops"].size(), 5U);
  EXPECT_EQ(one["sentences"][1], "no gradient of a parameter could be compared with fp32's");
  expect_refusal_like(
      run(small("train", "x", {"--precision", "O2", "--gradient-range", "2"})), 2,
      "--gradient-range measures in fp32, but this recipe keeps its weights in fp16");
}

TEST_F(LiveComparison, RefusesWhatCannotBeCompared) {
  expect_refusal_like(
      run(small("compare", "x", {"--precisions", "fp32", "--inspect"})), 2,
      "--inspect compares low precision with fp32, and --precisions 'fp32' names none; add");
  expect_refusal_like(run(small("compare", "x", {"--inspect=-1"})), 2,
                      "--inspect must be >= 1, got -1");
}

}  // namespace
}  // namespace ampersand::tests::live_comparison_test
