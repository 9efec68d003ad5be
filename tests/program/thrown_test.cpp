// What a model throws: one line that says where, the exit status, and what is kept.
#include <ATen/ops/randn.h>
#include <torch/csrc/jit/api/module.h>

#include <algorithm>

#include "tests/program/program.h"

namespace ampersand::tests::thrown_test {
namespace {

const std::string kThrowing = std::string(AMP_THROWING_PLUG_IN) + ":";

class Thrown : public ProgramTest {
 protected:
  Outcome ran(const std::string& command, const std::string& model,
              const Arguments& more = {}) const {
    return run(small(command, "out", joined({"--model", model}, more)));
  }

  // Fails in one line that has all these parts.
  static void expect_line(const Outcome& outcome, int status,
                          const std::vector<std::string>& parts) {
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    for (const auto& part : parts)
      EXPECT_TRUE(contains(outcome.err, part)) << part << "\n" << outcome.err;
  }

  // A TorchScript model that masks its scores as many do.
  std::string masked_script() const {
    const auto weight = [](at::IntArrayRef sizes) {
      return at::randn(sizes).mul_(0.1).set_requires_grad(true);
    };
    torch::jit::Module key("Key"), scores("Scores"), net("Net");
    key.register_parameter("weight", weight({16, 64}), false);
    key.define(R"(
def forward(self, x):
    return torch.matmul(x, self.weight.t())
)");
    scores.register_module("key", key);
    scores.define(R"(
def forward(self, x):
    y = self.key.forward(x)
    return y.masked_fill(y < 0, -1e10)
)");
    net.register_module("scores", scores);
    net.register_parameter("out", weight({4, 16}), false);
    net.define(R"(
def forward(self, x):
    return torch.matmul(torch.softmax(self.scores.forward(x.flatten(1)), -1), self.out.t())
)");
    const auto file = path("net.pt");
    net.save(file.string());
    return file.string();
  }
};

constexpr const char* kMask =
    "attention masked_fill was given -1.0e10, which does not fit fp16 (max 65504), in the forward "
    "pass; keep this op in fp32 or use bf16";

TEST_F(Thrown, TrainNamesTheOpThatAValueDidNotFit) {
  const auto outcome = ran("train", kThrowing + "masked", {"--precision", "fp16"});
  expect_line(outcome, 4,
              {"training in fp16 failed at step 1: model " + kThrowing + "masked: ", kMask});
  const auto run = json_of(path("out/results.json"))["runs"][0];
  EXPECT_EQ(run["ending"], "failed");
  EXPECT_EQ(run["failed_at_step"], 1);
  EXPECT_EQ(run["thrown"]["kind"], "overflow");
  EXPECT_EQ(run["thrown"]["op"], "masked_fill");
  EXPECT_EQ(run["thrown"]["module"], "attention");
  EXPECT_EQ(events_of(path("out/metrics.jsonl"), "end").size(), 1U);
  EXPECT_TRUE(contains(text_of(path("out/report.html")), "failed at step 1"));
  for (const char* precision : {"fp32", "bf16"})
    EXPECT_EQ(ran("train", kThrowing + "masked", {"--precision", precision, "--overwrite"}).status,
              0);
}

TEST_F(Thrown, TrainKeepsWhatItHadDone) {
  const auto outcome = ran("train", kThrowing + "third");
  expect_line(outcome, 3,
              {"training in fp32 failed at step 3: ", "the model threw in the forward pass",
               "the sensor is gone"});
  EXPECT_EQ(events_of(path("out/metrics.jsonl"), "step").size(), 2U);
  EXPECT_TRUE(std::filesystem::exists(path("out/checkpoints/step-000000002")));
  EXPECT_EQ(run({"eval", "out"}).status, 0);
  EXPECT_EQ(json_of(path("out/results.json"))["runs"][0]["steps"], 2);
}

TEST_F(Thrown, WhateverIsThrownWherever) {
  struct Case {
    const char* model;
    int status;
    std::vector<std::string> parts;
  };
  for (const auto& [model, status, parts] : std::vector<Case>{
           {"number", 3, {"the number 42 was thrown", "in the forward pass"}},
           {"of_amp", 3, {"mine: the moon is not full", "in the forward pass"}},
           {"checked", 3, {"too dark (", "throwing_models.cpp:"}},
           {"misfit", 3, {"matmul threw in the forward pass: ", "cannot be multiplied"}},
           {"in_loss", 3, {"no loss today"}},
           {"in_backward", 3, {"threw in the backward pass: lost on the way back"}},
           {"in_evaluation", 3, {"not so many"}},
           {"unmade", 3, {"the model threw while it was made: the weights are on the other disk"}},
           {"hungry", 3, {"ran out of memory", "smaller batches"}},
           {"always_narrow", 4, {"masked_fill was given -1.0e10", "fp16"}}}) {
    for (const std::string command : {"train", "compare", "advise"}) {
      const Arguments precisions =
          command == "compare" ? Arguments{"--precisions", "fp32,bf16"} : Arguments{};
      const auto outcome = ran(command, kThrowing + model, joined(precisions, {"--overwrite"}));
      expect_line(outcome, status, parts);
    }
  }
}

TEST_F(Thrown, CompareKeepsTheOthers) {
  for (const std::string order : {"fp32,bf16,fp16", "fp16,fp32,bf16"}) {
    const auto outcome = ran("compare", kThrowing + "masked",
                             {"--precisions", order, "--seeds", "2", "--overwrite"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_TRUE(contains(outcome.out, "fp16 failed in 2 of 2 runs (first at step 1): model "));
    EXPECT_TRUE(contains(outcome.out, kMask)) << outcome.out;
    EXPECT_TRUE(contains(outcome.out, "failed at step 1\n")) << outcome.out;
    const auto results = json_of(path("out/results.json"));
    ASSERT_EQ(results["runs"].size(), 6U);
    for (const auto& run : results["runs"]) {
      EXPECT_EQ(run["failed"], run["precision"] == "fp16");
      EXPECT_EQ(run["ending"], run["precision"] == "fp16" ? "failed" : "finished");
      EXPECT_EQ(run.contains("test_accuracy"), run["precision"] != "fp16");
    }
    EXPECT_TRUE(contains(text_of(path("out/report.html")), "failed at step 1"));
  }
}

TEST_F(Thrown, DoctorReachesAVerdict) {
  const auto diagnosed = [&](const std::string& model, const Arguments& more = {}) {
    const auto outcome = ran("doctor", model, joined(more, {"--overwrite"}));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_TRUE(contains(text_of(path("out/doctor.html")), "<h2>Verdict</h2>"));
    return json_of(path("out/doctor.json"));
  };
  for (const Arguments& every : {Arguments{}, Arguments{"--every", "5"}}) {
    const auto mask = diagnosed(kThrowing + "masked", joined(every, {"--precision", "fp16"}));
    EXPECT_EQ(mask["verdict"], "forward_overflow");
    EXPECT_EQ(mask["step"], 1);
    EXPECT_EQ(mask["op"], "masked_fill");
    EXPECT_EQ(mask["module"], "attention");
    EXPECT_EQ(mask["amax"], 1e10);
    EXPECT_TRUE(contains(mask["remedy"], "fp32") || contains(mask["remedy"], "bf16"))
        << mask["remedy"];
  }
  for (const char* model : {"third", "number", "of_amp", "checked", "misfit", "in_loss",
                            "in_backward", "unmade", "hungry"}) {
    const auto diagnosis = diagnosed(kThrowing + model);
    EXPECT_EQ(diagnosis["verdict"], "throws") << model;
    EXPECT_FALSE(diagnosis["remedy"].is_null()) << model;
  }
  EXPECT_EQ(diagnosed(kThrowing + "third")["step"], 3);
  EXPECT_EQ(diagnosed(kThrowing + "misfit")["op"], "matmul");
  EXPECT_EQ(diagnosed(kThrowing + "in_backward")["pass"], "backward");
  EXPECT_EQ(diagnosed(kThrowing + "masked", {"--precision", "bf16", "--steps", "3"})["verdict"],
            "clean");
}

TEST_F(Thrown, AdviseJudgesTheOthers) {
  const auto outcome = ran("advise", kThrowing + "masked", {"--steps", "8"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto advice = json_of(path("out/advise.json"));
  EXPECT_GE(advice["evidence"]["trials"].size(), 3U);
}

TEST_F(Thrown, TorchScriptHasItsLine) {
  const auto script = masked_script();
  expect_line(ran("train", script, {"--precision", "fp16"}), 4,
              {"scores masked_fill was given -1.0e10, which does not fit fp16", ":4)"});
  const auto outcome = ran("compare", script, {"--precisions", "fp32,fp16,bf16", "--overwrite"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json_of(path("out/results.json"))["runs"][1]["ending"], "failed");
  EXPECT_EQ(run(small("doctor", "d", {"--model", script, "--precision", "fp16"})).status, 0);
  const auto diagnosis = json_of(path("d/doctor.json"));
  EXPECT_EQ(diagnosis["verdict"], "forward_overflow");
  EXPECT_EQ(diagnosis["module"], "scores");
}

TEST_F(Thrown, EvalAndPredictSayIt) {
  ASSERT_EQ(ran("train", kThrowing + "masked").status, 0);
  for (const std::string command : {"eval", "predict"}) {
    const auto outcome = run({command, "out", "--precision", "fp16"});
    EXPECT_EQ(outcome.out, "");
    expect_line(outcome, 4, {kMask});
  }
}

}  // namespace
}  // namespace ampersand::tests::thrown_test
