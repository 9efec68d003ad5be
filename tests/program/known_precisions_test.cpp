// ampersand advise where the truth is known: each model is trained in all precisions, and the advice is
// what came of that.
#include "tests/program/program.h"

namespace ampersand::tests::known_precisions_test {
namespace {

class KnownPrecisions : public ProgramTest {
 protected:
  Json advised(const std::string& model, const Arguments& more = {}) const {
    const auto outcome = run(joined(options("advise", model, "advice"), more));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json_of(path("advice/advise.json"));
  }
  // Test accuracy by precision, and -1 of a run that diverged.
  std::map<std::string, double> trained(const std::string& model, const std::string& precisions,
                                        const Arguments& more = {}) const {
    const auto outcome = run(joined(joined(options("compare", model, "truth"), more),
                                    {"--precisions", precisions, "--no-perturbed-baseline"}));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    std::map<std::string, double> accuracies;
    const auto results = json_of(path("truth/results.json"));
    for (const auto& one : results["runs"])
      accuracies[one["precision"]] = one["diverged"] ? -1 : one["test_accuracy"].get<double>();
    return accuracies;
  }

 private:
  static Arguments options(const std::string& command, const std::string& model,
                           const std::string& output) {
    return {command,
            "--model",
            std::string(AMP_KNOWN_PLUG_IN) + ":" + model,
            "--data",
            "fashion-mnist",
            "--steps",
            "200",
            "--test-samples",
            "2000",
            "--threads",
            "1",
            "--output",
            output};
  }
};

Json trial_of(const Json& advice, const std::string& precision) {
  for (const auto& trial : advice["evidence"]["trials"]) {
    if (trial["precision"] == precision) return trial;
  }
  ADD_FAILURE() << precision << " was not tried";
  return {{"accepted", nullptr}, {"keep_fp32", nullptr}, {"initial_scale", nullptr}};
}

TEST_F(KnownPrecisions, AModelThatIsSafeInAllOfThem) {
  const auto truth = trained("safe", "fp32,bf16,fp16,fp8-emulated");
  EXPECT_EQ(truth.size(), 4U);
  for (const auto& [precision, accuracy] : truth)
    EXPECT_NEAR(accuracy, truth.at("fp32"), 0.03) << precision;
  const auto advice = advised("safe");
  EXPECT_EQ(advice["precision"], "bf16");
  EXPECT_EQ(advice["runner_up"], "fp16");
  EXPECT_EQ(advice["keep_fp32"], Json::array());
  EXPECT_EQ(trial_of(advice, "fp8-emulated")["accepted"], true);
}

TEST_F(KnownPrecisions, ActivationsBeyond65504AreForBf16OrAPolicy) {
  const auto truth = trained("wide", "fp32,bf16,fp16");
  EXPECT_NEAR(truth.at("bf16"), truth.at("fp32"), 0.03);
  EXPECT_EQ(truth.at("fp16"), -1);
  const auto advice = advised("wide");
  EXPECT_EQ(advice["precision"], "bf16");
  EXPECT_EQ(advice["runner_up"], "fp16");
  const auto fp16 = trial_of(advice, "fp16");
  EXPECT_EQ(fp16["keep_fp32"], Json({"mul"}));
  EXPECT_EQ(fp16["accepted"], true);
}

TEST_F(KnownPrecisions, GradientsBelowFp16NeedTheScaleThatIsAdvised) {
  const Arguments batches = {"--batch-size", "512", "--lr", "0.2"};
  const auto advice = advised("faint", batches);
  EXPECT_GT(advice["evidence"]["ranges"]["gradients_flushed_in_fp16_unscaled"], 0.1);
  EXPECT_LT(advice["evidence"]["ranges"]["gradients_flushed_in_fp16_scaled"], 0.001);
  const auto fp16 = trial_of(advice, "fp16");
  EXPECT_EQ(fp16["accepted"], true);
  const auto scale = fp16["initial_scale"].get<double>();
  EXPECT_GE(scale, 1024);
  const auto scaled = "fp16-scale-" + std::to_string(static_cast<long>(scale));
  const auto truth = trained("faint", "fp32,fp16-unscaled," + scaled, batches);
  EXPECT_NEAR(truth.at(scaled), truth.at("fp32"), 0.05);
  EXPECT_LT(truth.at("fp16-unscaled"), truth.at("fp32") - 0.05);
}

TEST_F(KnownPrecisions, AReductionThatNeedsMoreThan8BitsIsKeptInFp32) {
  const auto truth = trained("cancelling", "fp32,bf16");
  EXPECT_LT(truth.at("bf16"), truth.at("fp32") - 0.05);
  const auto advice = advised("cancelling");
  EXPECT_EQ(advice["precision"], "bf16, sums in fp32");
  EXPECT_EQ(advice["keep_fp32"], Json({"sum"}));
  EXPECT_EQ(trial_of(advice, "bf16")["accepted"], false);
}

TEST_F(KnownPrecisions, ADepthwiseNetworkIsNotForFp8) {
  const auto truth = trained("depthwise", "fp32,bf16,fp8-emulated");
  EXPECT_NEAR(truth.at("bf16"), truth.at("fp32"), 0.03);
  EXPECT_LT(truth.at("fp8-emulated"), truth.at("fp32") - 0.03);
  const auto advice = advised("depthwise");
  EXPECT_EQ(advice["precision"], "bf16");
  EXPECT_EQ(trial_of(advice, "fp8-emulated")["accepted"], false);
  EXPECT_NE(advice["runner_up"], "fp8-emulated");
}

}  // namespace
}  // namespace ampersand::tests::known_precisions_test
