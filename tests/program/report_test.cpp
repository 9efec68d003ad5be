// ampersand report makes the page again; ampersand info says what the machine can do.
#include <set>

#include "tests/program/program.h"

namespace ampersand::tests::report_test {
namespace {

class ReportCommand : public ProgramTest {
 protected:
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(path(name).parent_path());
    folder_.write(name, Bytes(text.begin(), text.end()));
  }
  void expect_refused(const std::string& folder, const std::string& message) const {
    expect_refusal(run({"report", folder}), 3, message);
    EXPECT_FALSE(std::filesystem::exists(path(folder + "/report.html")));
  }
};

TEST_F(ReportCommand, MakesTheSamePage) {
  ASSERT_EQ(run(small("compare", "results", {"--precisions", "fp32,fp16"})).status, 0);
  const auto page = text_of(path("results/report.html"));
  const auto before = files_of(path("results"));
  std::filesystem::remove(path("results/report.html"));
  const auto outcome = run({"report", "results"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "results/report.html\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(files_of(path("results")), before);

  std::filesystem::create_directory(path("alone"));
  std::filesystem::copy(path("results/results.json"), path("alone/results.json"));
  EXPECT_EQ(run({"report", "alone"}).status, 0);
  EXPECT_EQ(text_of(path("alone/report.html")), page);
}

TEST_F(ReportCommand, NeedsResults) {
  const std::string missing =
      ": has neither metrics.jsonl nor results.json; give a folder of results";
  std::filesystem::create_directory(path("empty"));
  expect_refused("empty", "empty" + missing);
  expect_refused("nowhere", "nowhere" + missing);
  write("file", "text");
  expect_refused("file", "file" + missing);
}

TEST_F(ReportCommand, NamesWhatIsWrongWithThem) {
  write("a/results.json", "garbage");
  expect_refused("a", "a/results.json: is not JSON");
  write("b/results.json", "[1, 2]");
  expect_refused("b",
                 "b: render_report: results must be an object, got array; pass the contents of a "
                 "results.json");
  write("c/metrics.jsonl", "garbage\n{\"event\":\"start\"}\n");
  expect_refused("c", "c/metrics.jsonl: line 1 is not a JSON object");
  write("d/metrics.jsonl", "{\"event\":\"start\"}\n");
  expect_refused("d", "d/metrics.jsonl: no run has begun in it");
}

TEST_F(ReportCommand, NamesTheLineThatIsNoEvent) {
  write("a/metrics.jsonl", "{\"event\":\"start\"}\n{\"event\":\"step\",\"run\":0}\n");
  expect_refusal_like(run({"report", "a"}), 3, "a/metrics.jsonl: line 2 is no event of a training");
  write("b/metrics.jsonl", "{\"event\":7}\n");
  expect_refusal_like(run({"report", "b"}), 3, "b/metrics.jsonl: line 1 is no event of a training");
  write("c/metrics.jsonl",
        "{\"event\":\"step\",\"run\":0,\"step\":1,\"loss\":1,\"scale\":1,\"seconds\":1}\n");
  expect_refusal_like(run({"report", "c"}), 3, "c/metrics.jsonl: events are missing");
}

TEST_F(ReportCommand, NeedsRoomForThePage) {
  ASSERT_EQ(run(small("train", "results")).status, 0);
  std::filesystem::remove(path("results/report.html"));
  std::filesystem::create_directory(path("results/report.html"));
  expect_refusal(run({"report", "results"}), 3,
                 "results/report.html: cannot be written (Is a directory)");
}

using Info = ProgramTest;

TEST_F(Info, MeasuresEveryFormat) {
  const auto outcome = run({"info", "--json", "--threads", "1"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  const auto info = Json::parse(outcome.out);
  EXPECT_EQ(info["version"], AMP_PROJECT_VERSION);
  EXPECT_EQ(info["threads"], 1);
  EXPECT_GT(info["memory_bytes"], 1e8);
  EXPECT_GT(info["copy_gb_per_second"], 0);
  std::set<std::string> formats;
  for (const auto& row : info["formats"]) {
    formats.insert(row["format"]);
    EXPECT_GT(row["gflops"], 0) << row;
    EXPECT_TRUE(row["native"].is_boolean()) << row;
  }
  EXPECT_EQ(formats, (std::set<std::string>{"fp32", "bf16", "fp16"}));
}

TEST_F(Info, PrintsATable) {
  const auto outcome = run({"info", "--threads", "1"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out.starts_with("ampersand " AMP_PROJECT_VERSION ", LibTorch "));
  for (const std::string row : {"\nfp32 ", "\nbf16 ", "\nfp16 ", "\nmemory copy "})
    EXPECT_TRUE(contains(outcome.out, row)) << outcome.out;
}

}  // namespace
}  // namespace ampersand::tests::report_test
