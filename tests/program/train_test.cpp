// ampersand train: the options that decide what a step is.
#include <cmath>
#include <fstream>

#include "tests/program/program.h"

namespace ampersand::tests::train_test {
namespace {

class Train : public ProgramTest {
 protected:
  // Trains with these options and gives the metrics' path.
  std::filesystem::path metrics_of(const std::string& name, const Arguments& more) const {
    const auto outcome = run(small("train", name, more));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return path(name) / "metrics.jsonl";
  }
  Json run_of(const std::string& name) const {
    return json_of(path(name) / "results.json")["runs"][0];
  }
};

void write_text(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file) << text;
}

std::vector<Json> field_of(const std::vector<Json>& events, const char* name) {
  std::vector<Json> values;
  for (const auto& event : events) values.push_back(event.value(name, Json()));
  return values;
}

TEST_F(Train, EpochsDecideHowLong) {
  const auto steps = events_of(metrics_of("two", {"--epochs", "2"}), "step");
  EXPECT_EQ(field_of(steps, "epoch"), (std::vector<Json>{1, 1, 1, 1, 2, 2, 2, 2}));
  EXPECT_EQ(field_of(steps, "skipped"), std::vector<Json>(8, false));
  EXPECT_EQ(run_of("two")["steps"], 8);
}

// The images of a bf16 run are bf16, and gradients are measured in fp32.
TEST_F(Train, MeasuresGradientsInEveryPrecision) {
  for (const std::string precision : {"bf16", "fp16"}) {
    const auto metrics = metrics_of(precision, {"--precision", precision, "--gradient-range", "2"});
    EXPECT_EQ(field_of(events_of(metrics, "gradients"), "step"), (std::vector<Json>{1, 3}));
  }
}

TEST_F(Train, StepsDecideInstead) {
  const auto metrics = metrics_of("few", {"--steps", "3"});
  EXPECT_EQ(field_of(events_of(metrics, "step"), "step"), (std::vector<Json>{1, 2, 3}));
  EXPECT_EQ(events_of(metrics, "evaluation").back()["step"], 3);
  EXPECT_EQ(field_of(events_of(metrics_of("many", {"--steps", "6"}), "step"), "epoch"),
            (std::vector<Json>{1, 1, 1, 1, 2, 2}));
}

TEST_F(Train, AFixedLossScaleStays) {
  const auto metrics =
      metrics_of("fixed", {"--precision", "fp16", "--loss-scale", "1024", "--steps", "3"});
  EXPECT_EQ(field_of(events_of(metrics, "step"), "scale"), std::vector<Json>(3, 1024.0));
  EXPECT_EQ(run_of("fixed")["loss_scaling"], "fixed");
  EXPECT_EQ(run_of("fixed")["final_scale"], 1024);
}

// The small cnn has two convolutions and two linear layers, each with a weight and a bias.
TEST_F(Train, ExplainListsWhichRuleEachOpMet) {
  const auto outcome = run(small("train", "explained", {"--precision", "bf16", "--explain"}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.out,
                       "conv2d.default: lower_precision (its tensors are cast to the "
                       "region's dtype), by the fast CPU list") ||
              contains(outcome.out, "conv2d: lower_precision"))
      << outcome.out;
  const auto casts = events_of(path("explained") / "metrics.jsonl", "casts");
  ASSERT_EQ(casts.size(), 1U);
  EXPECT_EQ(casts[0]["policy"], "fast_cpu");
  std::map<std::string, Json> ops;
  for (const auto& op : casts[0]["ops"]) ops[op["op"]] = op;
  ASSERT_TRUE(ops.contains("conv2d.default") && ops.contains("cross_entropy_loss") &&
              ops.contains("relu"))
      << casts[0];
  EXPECT_EQ(ops["conv2d.default"]["calls"], 2);
  // Two weights and two biases of 32 and 64 filters of 3 x 3, in bf16; the images come in bf16.
  EXPECT_EQ(ops["conv2d.default"]["casts"], 4);
  EXPECT_EQ(ops["conv2d.default"]["bytes"], 2 * (32 * 9 + 32 + 64 * 32 * 9 + 64));
  EXPECT_EQ(ops["cross_entropy_loss"]["casts"], 0) << "it reads bf16";
  EXPECT_EQ(ops["relu"]["calls"], 3);
}

TEST_F(Train, APolicyFileDecidesWhichOpRunsInWhichPrecision) {
  write_text(path("policy.json"), R"({"base": "torch_cpu", "rules": {"conv2d": "fp32"}})");
  const auto metrics = metrics_of(
      "edited", {"--precision", "bf16", "--explain", "--policy", path("policy.json").string()});
  const auto casts = events_of(metrics, "casts");
  EXPECT_EQ(casts.at(0)["policy"], "torch_cpu, edited");
  for (const auto& op : casts.at(0)["ops"]) {
    if (op["op"] == "conv2d.default") {
      EXPECT_TRUE(contains(op["why"], "fp32 (its tensors are cast to fp32), set by hand"));
    }
    if (op["op"] == "cross_entropy_loss") {
      EXPECT_EQ(op["casts"], 1) << "torch's list casts the logits";
    }
  }
  EXPECT_EQ(json_of(path("edited") / "recipe.json")["policy"]["base"], "torch_cpu");
  EXPECT_EQ(run_of("edited")["policy"], "torch_cpu, edited");
}

TEST_F(Train, ABadPolicyFileIsOneLine) {
  const auto file = path("policy.json");
  const auto with = [&](const std::string& text) {
    write_text(file, text);
    return run(small("train", "no", {"--precision", "bf16", "--policy", file.string()}));
  };
  expect_refusal(with(R"({"base": "fast_cpu", "rules": {"sofmax": "fp32"}})"), 3,
                 file.string() + ": OpPolicy: there is no op 'sofmax'; did you mean 'softmax'?");
  expect_refusal_like(with(R"({"base": "fast_cpu", "rules": {"softmax": "fp3"}})"), 3,
                      file.string() + ": OpPolicy: there is no rule 'fp3'");
  expect_refusal_like(with("{"), 3, file.string() + ": OpPolicy: a policy must be a JSON object");
  expect_refusal_like(run(small("train", "no", {"--policy", path("none.json").string()})), 3,
                      path("none.json").string() +
                          ": cannot be read (No such file or directory); give a policy file");
  EXPECT_FALSE(std::filesystem::exists(path("no")));
}

// Powers of two cancel exactly as long as nothing overflows or becomes subnormal.
TEST_F(Train, ALossScaleLeavesFp32AsItIs) {
  const auto plain = events_of(metrics_of("plain", {}), "step");
  const auto scaled = events_of(metrics_of("scaled", {"--loss-scale", "1024"}), "step");
  EXPECT_EQ(field_of(scaled, "loss"), field_of(plain, "loss"));
  EXPECT_EQ(field_of(scaled, "scale"), std::vector<Json>(4, 1024.0));
}

// Four batches in groups of three: a step after the third, and one for the last alone.
TEST_F(Train, ALastPartOfAnAccumulationWindowIsAStep) {
  const auto metrics = metrics_of("part", {"--accumulation", "3", "--max-grad-norm", "1"});
  const auto steps = events_of(metrics, "step");
  ASSERT_EQ(steps.size(), 4U);
  for (const std::size_t i : {0U, 1U, 3U}) EXPECT_FALSE(steps[i].contains("grad_norm")) << i;
  EXPECT_TRUE(steps[2].contains("grad_norm"));
  const auto flushes = events_of(metrics, "flush");
  ASSERT_EQ(flushes.size(), 1U);
  EXPECT_EQ(flushes[0]["step"], 4);
  EXPECT_EQ(flushes[0]["skipped"], false);
  EXPECT_TRUE(events_of(metrics_of("whole", {"--accumulation", "2"}), "flush").empty());
}

// One step over 64 images, whole or in four parts.
TEST_F(Train, AccumulationIsALargerBatch) {
  const auto whole = metrics_of("whole", {"--batch-size", "64"});
  const auto parts = metrics_of("parts", {"--batch-size", "16", "--accumulation", "4"});
  const auto evaluation = [](const std::filesystem::path& metrics) {
    return events_of(metrics, "evaluation").back()["test_loss"].get<double>();
  };
  EXPECT_NEAR(evaluation(whole), evaluation(parts), 1e-5);
  double sum = 0;
  for (const auto& step : events_of(parts, "step")) sum += step["loss"].get<double>();
  EXPECT_NEAR(sum / 4, events_of(whole, "step")[0]["loss"], 1e-5);
  // It is a step: without it the loss would be what the first of four batches alone gives.
  EXPECT_GT(std::abs(evaluation(metrics_of("first", {"--steps", "1"})) - evaluation(whole)), 1e-5);
}

TEST_F(Train, ClippingReportsTheNormBeforeIt) {
  const auto loose = events_of(metrics_of("loose", {"--max-grad-norm", "1e6"}), "step");
  const auto plain = events_of(metrics_of("plain", {}), "step");
  for (const auto& step : loose) EXPECT_GT(step["grad_norm"], 0.01);
  for (const auto& step : plain) EXPECT_FALSE(step.contains("grad_norm"));
  EXPECT_EQ(field_of(loose, "loss"), field_of(plain, "loss"));

  // Gradients of norm 1e-6 at most change next to nothing; the norm told is still the true one.
  const auto tight = events_of(metrics_of("tight", {"--max-grad-norm", "1e-6", "--batch-size", "64",
                                                    "--epochs", "2", "--momentum", "0"}),
                               "step");
  ASSERT_EQ(tight.size(), 2U);
  EXPECT_NEAR(tight[0]["loss"], tight[1]["loss"].get<double>(), 1e-5);
  EXPECT_NEAR(tight[0]["grad_norm"], tight[1]["grad_norm"].get<double>(), 1e-4);
  EXPECT_GT(tight[1]["grad_norm"], 0.01);
}

TEST_F(Train, LearnsWithEveryOptimizer) {
  for (const std::string optimizer : {"sgd", "adam", "adamw"}) {
    metrics_of(optimizer, {"--optimizer", optimizer, "--lr", optimizer == "sgd" ? "0.05" : "0.003",
                           "--epochs", "15", "--precision", "bf16"});
    EXPECT_EQ(run_of(optimizer)["test_accuracy"], 1) << optimizer;  // four plain patterns
  }
}

}  // namespace
}  // namespace ampersand::tests::train_test
