// results.json out of events, and metrics.jsonl as a file of them.
#include "app/results/results.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/results/metrics_file.h"
#include "tests/tasks/images/idx_files.h"

namespace ampersand::tests::results_test {
namespace {

using nlohmann::json;

const json kStart = json::parse(R"({"event": "start", "version": "1.2.3", "kind": "compare",
    "machine": {"cpu": "before"}, "settings": {"test_samples": 100}})");

json run_event(int number, const std::string& precision) {
  return {{"event", "run"}, {"run", number},     {"precision", precision}, {"device", "cpu"},
          {"seed", 0},      {"policy", "torch"}, {"loss_scaling", "none"}};
}

json step_event(int run, double loss) {
  return {{"event", "step"}, {"run", run},   {"step", 1},
          {"loss", loss},    {"scale", 1.0}, {"seconds", 0.5}};
}

json evaluation_event(int run, double accuracy) {
  return {{"event", "evaluation"},
          {"run", run},
          {"step", 1},
          {"test_loss", 1.0},
          {"test_accuracy", accuracy}};
}

json end_event(int run) {
  return {{"event", "end"}, {"run", run}, {"step", 1}, {"ending", "finished"}};
}

json results_of(const std::vector<json>& events) {
  ResultsBuilder builder;
  for (const auto& event : events) builder.add(event);
  return builder.results();
}

TEST(Results, HaveTheStartsFieldsTheRunsAndWhatTheySay) {
  const auto results =
      results_of({kStart, run_event(0, "fp32"), step_event(0, 2.0), evaluation_event(0, 0.5),
                  end_event(0), run_event(1, "bf16"), step_event(1, 1.0), evaluation_event(1, 0.5),
                  end_event(1), json::parse(R"({"event": "finish", "interrupted": false})")});
  EXPECT_EQ(results["version"], "1.2.3");
  EXPECT_EQ(results["kind"], "compare");
  EXPECT_FALSE(results.contains("event"));
  EXPECT_EQ(results["interrupted"], false);
  ASSERT_EQ(results["runs"].size(), 2U);
  EXPECT_EQ(results["runs"][0]["precision"], "fp32");
  EXPECT_EQ(results["runs"][0]["train_loss"], 2.0);
  EXPECT_EQ(results["runs"][1]["precision"], "bf16");
  EXPECT_EQ(results["runs"][1]["train_loss"], 1.0);
  // Two accuracies of 50 % on 100 images: sqrt(2 x 0.25 / 100), times 12.7062, t with one degree.
  EXPECT_NEAR(results["summary"][1]["noise"], 0.898464, 1e-6);
  EXPECT_EQ(
      results["verdict"],
      json::array({"Cannot tell bf16 from fp32 in this run: 50.00 % against 50.00 % (95 % interval "
                   "-89.85 to +89.85 points); not even 100 seeds would."}));
  EXPECT_TRUE(results["takeaway"].get<std::string>().starts_with("In short: stay with fp32."));
  EXPECT_FALSE(results.contains("perturbed_runs"));
}

// It stands beside the runs, and tells the noise: 40 % and 50 %, 4.3027 (two degrees) times 0.1.
TEST(Results, ThePerturbedRunIsNoRunOfItsPrecision) {
  auto again = run_event(2, "fp32");
  again["perturbed"] = true;
  auto start = kStart;
  start["settings"]["margin"] = 0.45;
  const auto results = results_of({start, run_event(0, "fp32"), evaluation_event(0, 0.5),
                                   end_event(0), run_event(1, "bf16"), evaluation_event(1, 0.5),
                                   end_event(1), again, evaluation_event(2, 0.4), end_event(2)});
  EXPECT_EQ(results["runs"].size(), 2U);
  ASSERT_EQ(results["perturbed_runs"].size(), 1U);
  EXPECT_EQ(results["perturbed_runs"][0]["perturbed"], true);
  EXPECT_EQ(results["perturbed_runs"][0]["test_accuracy"], 0.4);
  EXPECT_EQ(results["summary"][0]["runs"], 1);
  EXPECT_NEAR(results["summary"][1]["interval"][1], 0.430265273, 1e-8);
  EXPECT_EQ(results["summary"][1]["margin"], 0.45);
  EXPECT_EQ(results["summary"][1]["verdict"], "equal");
}

TEST(Results, EventsOfTwoRunsMayAlternate) {
  const auto results = results_of(
      {kStart, run_event(0, "fp32"), run_event(1, "bf16"), step_event(1, 4.0), step_event(0, 2.0)});
  EXPECT_EQ(results["runs"][0]["train_loss"], 2.0);
  EXPECT_EQ(results["runs"][1]["train_loss"], 4.0);
}

TEST(Results, TheFinishKnowsTheMachineBetter) {
  const auto before = results_of({kStart, run_event(0, "fp32")});
  EXPECT_EQ(before["machine"], json({{"cpu", "before"}}));
  const auto after = results_of(
      {kStart, run_event(0, "fp32"),
       json::parse(R"({"event": "finish", "interrupted": false, "machine": {"cpu": "after"}})")});
  EXPECT_EQ(after["machine"], json({{"cpu", "after"}}));
}

TEST(Results, WithoutAFinishTheTrainingWasInterrupted) {
  const auto results = results_of({kStart, run_event(0, "fp32"), step_event(0, 2.0)});
  EXPECT_EQ(results["interrupted"], true);
  EXPECT_EQ(results["runs"][0]["ending"], "interrupted");
  EXPECT_EQ(results_of({kStart, run_event(0, "fp32"), end_event(0),
                        json::parse(R"({"event": "finish", "interrupted": true})")})["interrupted"],
            true);
}

TEST(Results, IgnoreEventsOfALaterVersion) {
  const auto plain = results_of({kStart, run_event(0, "fp32")});
  EXPECT_EQ(results_of({kStart, run_event(0, "fp32"), {{"event", "advice"}, {"text", "rest"}}}),
            plain);
}

class MetricsFileTest : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& text) const {
    return folder_.write("metrics.jsonl", Bytes(text.begin(), text.end()));
  }
  std::string refusal(const std::string& text) const {
    const auto path = write(text);
    return error_of([&] { read_metrics(path); }).substr(path.string().size());
  }

  TemporaryFolder folder_;
};

TEST_F(MetricsFileTest, EventsComeBackAsTheyWere) {
  const auto path = folder_.path() / "metrics.jsonl";
  const std::vector<json> events = {{{"event", "step"}, {"loss", 0.1}}, {{"event", "end"}}};
  {
    MetricsFile file(path);
    for (const auto& event : events) {
      file.write(event);
      EXPECT_EQ(read_metrics(path).back(), event) << "must be on file at once";
    }
  }
  EXPECT_EQ(read_metrics(path), events);
  MetricsFile again(path);
  EXPECT_TRUE(read_metrics(path).empty());
}

TEST_F(MetricsFileTest, WritesALineAnEvent) {
  const auto path = folder_.path() / "metrics.jsonl";
  MetricsFile file(path);
  file.write({{"event", "step"}, {"loss", std::nan("")}, {"text", "two\nlines"}});
  std::ifstream stream(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}),
            "{\"event\":\"step\",\"loss\":null,\"text\":\"two\\nlines\"}\n");
}

TEST_F(MetricsFileTest, TextThatIsNoUtf8IsReplaced) {
  const auto path = folder_.path() / "metrics.jsonl";
  MetricsFile(path).write({{"command", "train --output \xff"}});
  EXPECT_EQ(read_metrics(path)[0]["command"], "train --output \ufffd");
}

TEST_F(MetricsFileTest, ALastLineCutShortIsDropped) {
  const auto whole = read_metrics(write("{\"a\":1}\n{\"b\":2}\n"));
  EXPECT_EQ(whole.size(), 2U);
  for (const std::string cut : {"{", "{\"c", "{\"c\":3", "{\"c\":[1,2]"})
    EXPECT_EQ(read_metrics(write("{\"a\":1}\n{\"b\":2}\n" + cut)), whole) << cut;
  EXPECT_EQ(read_metrics(write("{\"a\":1}\n{\"b\":2}")), whole);  // cut after the last brace
}

TEST_F(MetricsFileTest, AnyOtherLineThatIsNoEventIsNamed) {
  EXPECT_EQ(refusal("garbage\n{\"a\":1}\n"), ": line 1 is not a JSON object");
  EXPECT_EQ(refusal("{\"a\":1}\n{\"b\":\n{\"c\":3}\n"), ": line 2 is not a JSON object");
  EXPECT_EQ(refusal("{\"a\":1}\n\n{\"c\":3}\n"), ": line 2 is not a JSON object");
  EXPECT_EQ(refusal("{\"a\":1}\n[2]\n{\"c\":3}\n"), ": line 2 is not a JSON object");
}

TEST_F(MetricsFileTest, AnEmptyFileHasNoEvents) { EXPECT_TRUE(read_metrics(write("")).empty()); }

TEST_F(MetricsFileTest, AMissingFileIsNamed) {
  const auto path = folder_.path() / "none.jsonl";
  EXPECT_EQ(error_of([&] { read_metrics(path); }),
            path.string() +
                ": cannot be read (No such file or directory); give a folder that train or compare "
                "wrote");
  const auto unreachable = folder_.path() / "none" / "metrics.jsonl";
  EXPECT_EQ(error_of([&] { MetricsFile file(unreachable); }),
            unreachable.string() +
                ": cannot be written (No such file or directory); choose another --output");
}

TEST_F(MetricsFileTest, AFullDiskIsNoticed) {
  MetricsFile file("/dev/full");
  EXPECT_EQ(error_of([&] {
              file.write({{"event", "step"}});
            }),
            "/dev/full: cannot be written (No space left on device)");
}

}  // namespace
}  // namespace ampersand::tests::results_test
