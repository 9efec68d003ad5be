// ampersand advise: models whose right precision is known.
#include "tests/program/program.h"

namespace ampersand::tests::advise_test {
namespace {

const std::string kFaulty = std::string(AMP_FAULTY_PLUG_IN) + ":";

class Advise : public ProgramTest {
 protected:
  Json advised(const std::string& name, const Arguments& more) const {
    const auto outcome = run(small("advise", name, joined(more, {"--steps", "12"})));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    const auto advice = json_of(path(name) / "advise.json");
    EXPECT_TRUE(outcome.out.starts_with(advice["sentence"].get<std::string>() + "\n"));
    return advice;
  }
};

std::vector<std::string> tried(const Json& advice) {
  std::vector<std::string> names;
  for (const auto& trial : advice["evidence"]["trials"]) names.push_back(trial["precision"]);
  return names;
}

TEST_F(Advise, ASoundModelTakesBf16AndCouldTakeFp16) {
  const auto advice = advised("sound", {"--model", kFaulty + "sound", "--lr", "0.01"});
  EXPECT_EQ(advice["precision"], "bf16");
  EXPECT_EQ(advice["runner_up"], "fp16");
  EXPECT_TRUE(advice["initial_scale"].is_null());
  EXPECT_EQ(advice["keep_fp32"], Json::array());
  EXPECT_EQ(tried(advice), (std::vector<std::string>{"fp32", "bf16", "fp16", "fp8-emulated"}));
  const auto& evidence = advice["evidence"];
  EXPECT_EQ(evidence["deterministic"], true);
  EXPECT_GT(evidence["ranges"]["fp16_initial_scale"], 1);
  EXPECT_EQ(evidence["ranges"]["fp8"]["gradients"]["format"], "e5m2");
  for (const auto& trial : evidence["trials"]) {
    const bool emulated = trial["precision"] == "fp8-emulated";  // whose memory would not be fp8's
    EXPECT_EQ(trial["activation_bytes"].is_null(), emulated) << trial;
  }
}

TEST_F(Advise, TrainTakesWhatItWrites) {
  advised("advice", {});
  const auto with = [&](const std::string& name, const Arguments& more) {
    const auto outcome = run(small("train", name, joined(more, {"--steps", "2"})));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
  };
  with("a", {"--recipe", "advice/recipe.json"});
  with("b", {"--precision", "bf16", "--policy", "advice/policy.json"});
  EXPECT_EQ(events_of(path("a/metrics.jsonl"), "run")[0]["recipe"]["compute_dtype"], "bf16");
  const auto page = text_of(path("advice/advise.html"));
  EXPECT_TRUE(contains(page, "What was tried"));
  EXPECT_TRUE(contains(page, "not measured"));
  EXPECT_FALSE(contains(page, "{{"));
}

// Its products are too wide, and a policy for them is found by experiment.
TEST_F(Advise, ProductsBeyond65504AreForFp16WithAPolicy) {
  const auto advice = advised("wide", {"--model", kFaulty + "wide", "--lr", "1e-12"});
  EXPECT_EQ(advice["precision"], "bf16");
  EXPECT_EQ(advice["runner_up"], "fp16");
  EXPECT_EQ(tried(advice), (std::vector<std::string>{"fp32", "bf16", "fp16", "fp8-emulated"}));
  for (const auto& trial : advice["evidence"]["trials"]) {
    if (trial["precision"] == "fp16") {
      EXPECT_FALSE(trial["keep_fp32"].empty());
      EXPECT_EQ(trial["accepted"], true);
    }
  }
  const auto& wide = advice["evidence"]["ranges"]["too_wide_for_fp16"];
  ASSERT_FALSE(wide.empty());
  EXPECT_GT(wide[0]["amax"], 65504);
  EXPECT_EQ(wide[0]["module"], "in");
}

TEST_F(Advise, ATrainingThatFailsInFp32IsNotItsMatter) {
  expect_refusal_like(
      run(small("advise", "x", {"--model", kFaulty + "log_of_zero", "--steps", "4"})), 4,
      "training goes wrong in fp32 already: step 1: ", "log");
}

TEST_F(Advise, FindsThePolicyItself) {
  expect_refusal_like(run(small("advise", "x", {"--policy", "any.json"})), 2,
                      "--policy cannot be combined with advise");
}

TEST_F(Advise, ATrainingThatIsNeverTheSameIsSaidToBeSo) {
  EXPECT_EQ(advised("moody", {"--model", kFaulty + "moody"})["evidence"]["deterministic"], false);
}

}  // namespace
}  // namespace ampersand::tests::advise_test
