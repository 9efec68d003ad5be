// ampersand compare on a slice of Fashion-MNIST: what it writes, what it prints, and that the same
// seeds give the same numbers.
#include <algorithm>
#include <cmath>

#include "tests/program/program.h"

namespace ampersand::tests::compare_test {
namespace {

// 512 images in batches of 64: 8 steps a run.
const Arguments kSlice = {
    "--model",      "mlp", "--train-samples",   "512",   "--test-samples", "256", "--epochs", "1",
    "--batch-size", "64",  "--cpu-fp32-engine", "stock", "--threads",      "1"};
const Arguments kPrecisions = {"fp32", "bf16", "fp16", "fp16-unscaled"};

void expect_fields(const Json& object, const std::vector<std::string>& names) {
  for (const auto& name : names) EXPECT_TRUE(object.contains(name)) << name;
}

void expect_head(const Json& results) {
  expect_fields(results, {"version", "command", "kind", "created", "machine", "settings", "runs",
                          "summary", "verdict"});
  EXPECT_EQ(results["version"], AMP_PROJECT_VERSION);
  EXPECT_EQ(results["kind"], "compare");
  EXPECT_EQ(results["interrupted"], false);
  EXPECT_TRUE(results["command"].get<std::string>().starts_with(
      "ampersand compare --output results --model mlp "));
  expect_fields(results["machine"], {"cpu", "cores", "memory_bytes", "features", "libtorch",
                                     "compiler", "cpu_half_math"});
  EXPECT_EQ(results["machine"]["threads"], 1);
  EXPECT_EQ(results["machine"]["cpu_fp32_engine"], "stock");
  EXPECT_EQ(results["settings"]["train_samples"], 512);
  EXPECT_EQ(results["settings"]["test_samples"], 256);
  EXPECT_EQ(results["settings"]["seeds"], Json({0}));
}

void expect_run(const Json& run, const std::string& precision) {
  SCOPED_TRACE(precision);
  expect_fields(run, {"test_loss", "activation_bytes", "peak_memory_bytes", "policy"});
  expect_fields(run["memory"],
                {"weights", "copies", "masters", "gradients", "optimizer", "activations", "other"});
  EXPECT_EQ(run["precision"], precision);
  EXPECT_EQ(run["device"], "cpu");
  EXPECT_EQ(run["seed"], 0);
  EXPECT_EQ(run["steps"], 8);
  EXPECT_EQ(run["skipped_steps"], 0);
  EXPECT_EQ(run["diverged"], false);
  EXPECT_EQ(run["ending"], "finished");
  EXPECT_EQ(run["loss_scaling"], precision == "fp16" ? "dynamic" : "none");
  EXPECT_EQ(run["final_scale"], precision == "fp16" ? 65536 : 1);
  EXPECT_GT(run["seconds"], 0);
  EXPECT_GT(run["samples_per_second"], 0);
  EXPECT_LT(run["train_loss"], 2.0);  // of ten classes that were not learned: ln 10 = 2.30
  EXPECT_GT(run["test_accuracy"], 0.3);
  EXPECT_EQ(run["history"].back()["step"], 8);
  EXPECT_TRUE(run["history"].back().contains("test_accuracy"));
}

void expect_metrics(const std::filesystem::path& metrics) {
  EXPECT_EQ(events_of(metrics, "start").size(), 1U);
  EXPECT_EQ(events_of(metrics, "finish").size(), 1U);
  EXPECT_EQ(events_of(metrics, "step").size(), 40U);  // the perturbed baseline is the fifth run
  for (int run = 0; run < 4; ++run) {
    const auto steps = events_of(metrics, "step", run);
    ASSERT_EQ(steps.size(), 8U);
    for (int i = 0; i < 8; ++i) EXPECT_EQ(steps[static_cast<std::size_t>(i)]["step"], i + 1);
    EXPECT_EQ(events_of(metrics, "run", run).size(), 1U);
    EXPECT_EQ(events_of(metrics, "evaluation", run).size(), 2U);
    EXPECT_EQ(events_of(metrics, "memory", run).size(), 1U);
    EXPECT_EQ(events_of(metrics, "end", run).size(), 1U);
  }
}

// The same weights and the same batch: only rounding differs.
void expect_close_first_losses(const std::filesystem::path& metrics) {
  const double fp32 = events_of(metrics, "step", 0)[0]["loss"];
  EXPECT_NEAR(fp32, std::log(10.0), 0.1);
  for (int run = 1; run < 4; ++run)
    EXPECT_NEAR(events_of(metrics, "step", run)[0]["loss"], fp32, 0.002) << run;
}

void expect_table(const std::string& out, const std::string& folder) {
  EXPECT_TRUE(out.starts_with("\nprecision  ")) << out;
  for (const auto& precision : kPrecisions) EXPECT_TRUE(contains(out, "\n" + precision + " "));
  EXPECT_TRUE(contains(out, "\n\nIn short: ")) << out;
  EXPECT_TRUE(contains(out, "results  " + folder + "/results.json\n"));
  EXPECT_TRUE(contains(out, "report   " + folder + "/report.html\n"));
}

void expect_page(const std::string& page) {
  EXPECT_TRUE(contains(page, "<h1>mlp on fashion-mnist: fp32, bf16, fp16 and fp16-unscaled</h1>"));
  for (const auto& precision : kPrecisions)
    EXPECT_TRUE(contains(page, "data-precision=\"" + precision + "\""));
}

// A line for each run that is done, without anything meant for a terminal.
void expect_plain_progress(const std::string& err) {
  for (const auto& precision : kPrecisions)
    EXPECT_TRUE(contains(err, precision + ", seed 0  100 %  epoch 1  loss ")) << err;
  EXPECT_FALSE(contains(err, "\x1b"));
  EXPECT_FALSE(contains(err, "\r"));
}

std::vector<Json> losses_of(const std::filesystem::path& metrics, int run) {
  std::vector<Json> losses;
  for (const auto& step : events_of(metrics, "step", run)) losses.push_back(step["loss"]);
  return losses;
}

using Compare = ProgramTest;

TEST_F(Compare, WritesEverythingAndRepeatsItself) {
  const auto outcome = run(joined({"compare", "--output", "results"}, kSlice));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto results = json_of(path("results/results.json"));
  expect_head(results);
  ASSERT_EQ(results["runs"].size(), 4U);
  ASSERT_EQ(results["summary"].size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) expect_run(results["runs"][i], kPrecisions[i]);
  EXPECT_EQ(results["verdict"].size(), 3U);
  expect_metrics(path("results/metrics.jsonl"));
  expect_close_first_losses(path("results/metrics.jsonl"));
  expect_table(outcome.out, "results");
  expect_page(text_of(path("results/report.html")));
  expect_plain_progress(outcome.err);

  // fp32 again, bit for bit, in another process and after another precision.
  const auto again =
      run(joined({"compare", "--precisions", "bf16,fp32", "--output", "again"}, kSlice));
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(losses_of(path("again/metrics.jsonl"), 1), losses_of(path("results/metrics.jsonl"), 0));
}

TEST_F(Compare, TrainsEachPrecisionWithEachSeed) {
  const auto outcome = run(
      small("compare", "results", {"--precisions", "fp32,fp16", "--seeds", "2", "--seed", "5"}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto results = json_of(path("results/results.json"));
  EXPECT_EQ(results["settings"]["seeds"], Json({5, 6}));
  ASSERT_EQ(results["runs"].size(), 4U);
  const std::vector<std::pair<std::string, int>> expected = {
      {"fp32", 5}, {"fp16", 5}, {"fp32", 6}, {"fp16", 6}};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(results["runs"][i]["precision"], expected[i].first) << i;
    EXPECT_EQ(results["runs"][i]["seed"], expected[i].second) << i;
  }
  EXPECT_EQ(results["summary"][0]["seeds"], 2);
  EXPECT_TRUE(results["summary"][0]["deviation"].is_number());

  const auto metrics = path("results/metrics.jsonl");
  EXPECT_NE(losses_of(metrics, 0), losses_of(metrics, 2));
  // Other weights alone would do for that; a seed alone, elsewhere, gives the same run.
  ASSERT_EQ(run(small("train", "six", {"--seed", "6"})).status, 0);
  EXPECT_EQ(losses_of(path("six/metrics.jsonl"), 0), losses_of(metrics, 2));
}

// It begins as fp32 does but for the weights, tells the noise, and is no run of the table.
TEST_F(Compare, MeasuresTheNoiseOfFp32) {
  const Arguments two = {"--precisions", "bf16,fp32", "--tensorboard", "--evaluate-every", "1"};
  const auto outcome = run(small("compare", "results", two));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "fp32 again, for its noise, seed 0  100 %")) << outcome.err;
  const auto results = json_of(path("results/results.json"));
  ASSERT_EQ(results["runs"].size(), 2U);
  ASSERT_EQ(results["perturbed_runs"].size(), 1U);
  EXPECT_EQ(results["perturbed_runs"][0]["perturbed"], true);
  EXPECT_EQ(results["perturbed_runs"][0]["precision"], "fp32");
  EXPECT_EQ(results["summary"][1]["runs"], 1);
  const auto& entry = results["summary"][0];
  expect_fields(entry, {"difference", "noise", "within_noise", "verdict", "interval", "margin",
                        "seeds_needed"});
  EXPECT_EQ(entry["degrees_of_freedom"], 2);
  EXPECT_EQ(entry["margin"], 0.005);
  const auto metrics = path("results/metrics.jsonl");
  EXPECT_NEAR(losses_of(metrics, 2)[0].get<double>(), losses_of(metrics, 1)[0].get<double>(), 0.01);
  EXPECT_NE(losses_of(metrics, 2), losses_of(metrics, 1));
  EXPECT_TRUE(std::filesystem::exists(path("results/tensorboard/fp32-seed0-perturbed")));
  EXPECT_TRUE(contains(text_of(path("results/report.html")), "fp32, perturbed"));

  const auto page = text_of(path("results/report.html"));
  ASSERT_EQ(run({"report", "results"}).status, 0);
  EXPECT_EQ(text_of(path("results/report.html")), page);
}

TEST_F(Compare, MeasuresNoNoiseWhereItIsNotAskedOrNotNeeded) {
  const auto perturbed = [&](const Arguments& more) {
    const auto outcome = run(small("compare", "results", joined(more, {"--overwrite"})));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json_of(path("results/results.json")).contains("perturbed_runs");
  };
  EXPECT_TRUE(perturbed({"--precisions", "fp32,bf16", "--seeds", "2"}));
  EXPECT_FALSE(perturbed({"--precisions", "fp32,bf16", "--seeds", "3"}));
  EXPECT_FALSE(perturbed({"--precisions", "fp32"}));
  EXPECT_FALSE(perturbed({"--precisions", "fp16,bf16"}));
  EXPECT_FALSE(perturbed({"--precisions", "fp32,bf16", "--no-perturbed-baseline"}));
  EXPECT_FALSE(perturbed({"--precisions", "fp32,fp16-scale-1e30", "--max-consecutive-skips", "2"}));
}

TEST_F(Compare, TakesTheMarginThatCountsAsNone) {
  ASSERT_EQ(
      run(small("compare", "results", {"--precisions", "fp32,bf16", "--margin", "99"})).status, 0);
  const auto results = json_of(path("results/results.json"));
  EXPECT_EQ(results["settings"]["margin"], 0.99);
  EXPECT_EQ(results["summary"][1]["margin"], 0.99);
  expect_refusal_like(run(small("compare", "other", {"--margin", "-1"})), 2, "",
                      "--margin must be between 0 and 100, got -1");
}

TEST_F(Compare, GivesTheLossScaleToFp16Alone) {
  ASSERT_EQ(
      run(small("compare", "results", {"--precisions", "bf16,fp16", "--loss-scale", "512"})).status,
      0);
  const auto runs = json_of(path("results/results.json"))["runs"];
  EXPECT_EQ(runs[0]["loss_scaling"], "none");
  EXPECT_EQ(runs[0]["final_scale"], 1);
  EXPECT_EQ(runs[1]["loss_scaling"], "fixed");
  EXPECT_EQ(runs[1]["final_scale"], 512);
}

}  // namespace
}  // namespace ampersand::tests::compare_test
