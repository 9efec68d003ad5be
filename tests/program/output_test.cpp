// The output folder: where it may be, and that results which are there already are never lost
// unasked.
#include <fstream>

#include "tests/program/program.h"

namespace ampersand::tests {
namespace {

using Output = ProgramTest;

TEST_F(Output, IsMadeWithTheFoldersAboveIt) {
  EXPECT_EQ(run(small("train", "a/b/c")).status, 0);
  for (const std::string file : {"metrics.jsonl", "results.json", "report.html", "recipe.json",
                                 "checkpoints/step-000000004/weights.safetensors"})
    EXPECT_TRUE(std::filesystem::exists(path("a/b/c/" + file))) << file;
  EXPECT_EQ(files_of(path("a")).size(), 8U);  // those and three more of the checkpoint
}

TEST_F(Output, IsRunsAndTheDateUnlessNamed) {
  auto arguments = small("train", "");
  const auto outcome = run(arguments);
  EXPECT_EQ(outcome.status, 0);
  ASSERT_EQ(std::distance(std::filesystem::directory_iterator(path("runs")), {}), 1);
  const auto folder = std::filesystem::directory_iterator(path("runs"))->path();
  EXPECT_TRUE(folder.filename().string().starts_with("train-20")) << folder;
  EXPECT_TRUE(
      contains(outcome.out, "report   runs/" + folder.filename().string() + "/report.html\n"));
}

TEST_F(Output, ThatCannotBeMade) {
  folder_.write("file", {1, 2, 3});
  const auto before = files_of(path("file").parent_path());
  expect_refusal(run(small("train", "file")), 3,
                 "file: cannot be made (Not a directory); choose another --output");
  expect_refusal(run(small("train", "file/below")), 3,
                 "file/below: cannot be made (Not a directory); choose another --output");
  EXPECT_EQ(text_of(path("file")), "\x01\x02\x03");
  const std::string long_name(300, 'x');
  expect_refusal(run(small("train", long_name)), 3,
                 long_name + ": cannot be made (File name too long); choose another --output");
}

TEST_F(Output, NameNeedsNoUtf8) {
  EXPECT_EQ(run(small("train", "caf\xe9")).status, 0);
  EXPECT_TRUE(contains(json_of(path("caf\xe9/results.json"))["command"], "--output caf\\xe9"));
}

// Every way to be refused that is noticed before training begins.
TEST_F(Output, EarlierResultsSurviveARefusal) {
  ASSERT_EQ(run(small("train", "results")).status, 0);
  const auto before = files_of(path("results"));
  ASSERT_EQ(before.size(), 8U);

  expect_refusal(run(small("train", "results")), 2,
                 "--output results already has results; pass --overwrite to replace them");
  expect_refusal(run(small("compare", "results")), 2,
                 "--output results already has results; pass --overwrite to replace them");
  for (const Arguments& wrong :
       {Arguments{"--model", "vgg"}, Arguments{"--lr", "nan"}, Arguments{"--data", "nowhere"},
        Arguments{"--device", "cuda"}, Arguments{"--batch-size", "65"},
        Arguments{"--precision", "fp16-scale-1e-50"}, Arguments{"--optimizer", "lion"},
        Arguments{"--cpu-fp32-engine", "mkl"}, Arguments{"--steps", "99999999999999999999"}}) {
    const auto outcome = run(small("train", "results", joined({"--overwrite"}, wrong)));
    EXPECT_TRUE(outcome.status == 2 || outcome.status == 3) << wrong[0];
    EXPECT_EQ(files_of(path("results")), before) << wrong[0];
  }
  write_small_data("flat");
  folder_.write("flat/train-images-idx3-ubyte", idx_bytes({64, 1, 64}, Bytes(4096, 1)));
  run(small("train", "results", {"--overwrite", "--data", "flat"}));
  EXPECT_EQ(files_of(path("results")), before);
}

TEST_F(Output, OverwriteReplacesResults) {
  ASSERT_EQ(run(small("train", "results", {"--seed", "1"})).status, 0);
  std::ofstream(path("results/notes.txt")) << "mine";
  ASSERT_EQ(run(small("train", "results", {"--seed", "2", "--overwrite"})).status, 0);
  EXPECT_EQ(json_of(path("results/results.json"))["runs"][0]["seed"], 2);
  EXPECT_EQ(events_of(path("results/metrics.jsonl"), "start").size(), 1U);
  EXPECT_EQ(text_of(path("results/notes.txt")), "mine");
}

TEST_F(Output, ResultsWithoutMetricsAreResults) {
  ASSERT_EQ(run(small("train", "results")).status, 0);
  std::filesystem::remove(path("results/metrics.jsonl"));
  const auto before = files_of(path("results"));
  expect_refusal(run(small("train", "results")), 2,
                 "--output results already has results; pass --overwrite to replace them");
  EXPECT_EQ(files_of(path("results")), before);

  // Metrics that cannot be written cost nothing either.
  std::filesystem::create_directory(path("results/metrics.jsonl"));
  expect_refusal(run(small("train", "results", {"--overwrite"})), 3,
                 "results/metrics.jsonl: cannot be written; choose another --output");
  EXPECT_EQ(files_of(path("results")), before);
}

}  // namespace
}  // namespace ampersand::tests
