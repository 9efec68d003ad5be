// ampersand doctor: the verdict on small trainings whose fault is known.
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "tests/program/program.h"

namespace ampersand::tests::doctor_test {
namespace {

const std::string kFaulty = std::string(AMP_FAULTY_PLUG_IN) + ":";

class Doctor : public ProgramTest {
 protected:
  // doctor.json of a run that reached a verdict.
  Json examined(const std::string& name, const Arguments& more) const {
    const auto outcome = run(small("doctor", name, more));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    const auto diagnosis = json_of(path(name) / "doctor.json");
    EXPECT_TRUE(outcome.out.starts_with(diagnosis["sentence"].get<std::string>() + "\n"))
        << outcome.out;
    return diagnosis;
  }
};

TEST_F(Doctor, ACleanRunGetsACleanBill) {
  const auto diagnosis = examined("clean", {"--precision", "bf16", "--steps", "6"});
  EXPECT_EQ(diagnosis["verdict"], "clean");
  EXPECT_EQ(diagnosis["sentence"], "nothing is wrong in 6 steps");
  EXPECT_EQ(diagnosis["deterministic"], true);
  for (const char* field : {"step", "pass", "op", "module", "parameter", "amax", "remedy"})
    EXPECT_TRUE(diagnosis.at(field).is_null()) << field;
  EXPECT_EQ(diagnosis["evidence"]["steps"], (Json{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(diagnosis["evidence"]["format"], "bf16");
}

TEST_F(Doctor, FitsTheTerminalButForWhatIsToBeCopied) {
  const auto outcome =
      run(small("doctor", "large", {"--precision", "fp16-scale-1e9", "--model", kFaulty + "sound"}),
          {{"COLUMNS", "60"}});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::istringstream lines(outcome.out);
  int wrapped = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("command  ")) continue;
    EXPECT_LE(line.size(), 60U) << line;
    wrapped += line.starts_with("         ") ? 1 : 0;
  }
  EXPECT_GT(wrapped, 0) << outcome.out;
}

TEST_F(Doctor, ThePageIsWholeAndHoldsTheVerdictFirst) {
  examined("clean", {"--steps", "2"});
  const auto page = text_of(path("clean/doctor.html"));
  EXPECT_TRUE(contains(page, "<li>Nothing is wrong in 2 steps.</li>"));
  EXPECT_LT(page.find("Nothing is wrong"), page.find("data-drawing=\"overflow\""));
  EXPECT_TRUE(contains(page, "default-src 'none'"));
  EXPECT_FALSE(contains(page, "{{"));
  EXPECT_FALSE(contains(page, "<script src"));
}

TEST_F(Doctor, TheHeatMapHasARowAModuleAndAColumnAStep) {
  const auto diagnosis = examined("heat", {"--steps", "3", "--precision", "fp16"});
  const auto& heat = diagnosis["evidence"]["heat"];
  EXPECT_EQ(heat["steps"], Json::parse("[[1,1],[2,2],[3,3]]"));
  std::set<std::string> forward;
  for (const auto& row : heat["rows"]) {
    EXPECT_EQ(row["overflow"].size(), 3U);
    if (row["pass"] == "forward") forward.insert(row["module"]);
  }
  for (const char* module : {"conv1", "conv2", "hidden", "output"})
    EXPECT_TRUE(forward.contains(module)) << module;
}

TEST_F(Doctor, AScaleFarTooLarge) {
  const auto diagnosis =
      examined("scale", {"--precision", "fp16-scale-1e9", "--model", kFaulty + "sound"});
  EXPECT_EQ(diagnosis["verdict"], "scale_overflow");
  EXPECT_EQ(diagnosis["step"], 1);
  EXPECT_EQ(diagnosis["pass"], "backward");
  EXPECT_EQ(diagnosis["loss_scale"], 1e9);
  EXPECT_GT(diagnosis["amax"], 65504);
}

// The remedy that is named was trained with, and its command is one.
TEST_F(Doctor, TheRemedyWasTriedAndItsCommandTrains) {
  const auto diagnosis =
      examined("tried", {"--model", kFaulty + "wide", "--precision", "fp16", "--lr", "1e-9"});
  EXPECT_EQ(diagnosis["fp32_too"], false);
  ASSERT_FALSE(diagnosis["experiments"].empty());
  bool fp32_is_finite = false;
  for (const auto& experiment : diagnosis["experiments"])
    fp32_is_finite |= contains(experiment["what"], "fp32") && experiment["cures"] == true;
  EXPECT_TRUE(fp32_is_finite) << diagnosis["experiments"];
  ASSERT_FALSE(diagnosis["remedies"].empty());
  const auto& best = diagnosis["remedies"][0];
  EXPECT_EQ(best["cures"], true) << best;
  EXPECT_EQ(best["tried_steps"], 50);
  ASSERT_TRUE(best["recipe"].is_object());
  EXPECT_EQ(json_of(path("tried/recipe.json")), best["recipe"]);
  ASSERT_TRUE(diagnosis["treatment"].is_string());
  EXPECT_TRUE(contains(diagnosis["treatment"], "ampersand train ")) << diagnosis["treatment"];
  EXPECT_TRUE(contains(diagnosis["treatment"], "--recipe tried/recipe.json"));
  const auto cured =
      run(small("train", "cured",
                {"--model", kFaulty + "wide", "--recipe", "tried/recipe.json", "--lr", "1e-9"}));
  EXPECT_EQ(cured.status, 0) << cured.err;
}

TEST_F(Doctor, WithoutAReferenceTheVerdictOfALoudFaultIsTheSame) {
  const auto diagnosis = examined(
      "alone", {"--model", kFaulty + "log_of_zero", "--precision", "bf16", "--no-reference"});
  EXPECT_EQ(diagnosis["verdict"], "model_nan");
  EXPECT_EQ(diagnosis["fp32_too"], true);
}

TEST_F(Doctor, ALearningRateFarTooLarge) {
  const auto diagnosis = examined("rate", {"--lr", "1e4", "--steps", "30"});
  EXPECT_EQ(diagnosis["verdict"], "divergence");
  EXPECT_TRUE(contains(diagnosis["remedy"], "divide the learning rate by")) << diagnosis["remedy"];
}

TEST_F(Doctor, ANumberThatNoFormatHas) {
  for (const char* precision : {"fp32", "fp16"}) {
    const auto diagnosis = examined(std::string("log-") + precision,
                                    {"--model", kFaulty + "log_of_zero", "--precision", precision});
    EXPECT_EQ(diagnosis["verdict"], "model_nan") << precision;
    EXPECT_EQ(diagnosis["step"], 1);
    EXPECT_EQ(diagnosis["pass"], "forward");
    EXPECT_EQ(diagnosis["op"], "log");
  }
}

TEST_F(Doctor, AnOverflowInTheForwardPass) {
  const auto diagnosis =
      examined("wide", {"--model", kFaulty + "wide", "--precision", "fp16", "--lr", "1e-9"});
  EXPECT_EQ(diagnosis["verdict"], "forward_overflow");
  EXPECT_EQ(diagnosis["step"], 1);
  EXPECT_EQ(diagnosis["module"], "in");
  EXPECT_GT(diagnosis["amax"], 65504);
  EXPECT_EQ(examined("wide-bf16", {"--model", kFaulty + "wide", "--precision", "bf16", "--lr",
                                   "1e-12"})["verdict"],
            "clean");
}

TEST_F(Doctor, ATrainingThatIsNeverTheSame) {
  const auto diagnosis = examined("moody", {"--model", kFaulty + "moody", "--steps", "2"});
  EXPECT_EQ(diagnosis["deterministic"], false);
  ASSERT_EQ(diagnosis["notes"].size(), 1U);
  EXPECT_TRUE(contains(diagnosis["notes"][0], "not deterministic")) << diagnosis["notes"];
}

TEST_F(Doctor, GoesOnWithARun) {
  ASSERT_EQ(run(small("train", "earlier", {"--precision", "fp16", "--steps", "3"})).status, 0);
  const auto before = files_of(path("earlier"));
  const auto outcome = run({"doctor", "earlier", "--steps", "2", "--output", "more"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto diagnosis = json_of(path("more/doctor.json"));
  EXPECT_EQ(diagnosis["evidence"]["steps"], (Json{4, 5}));
  EXPECT_EQ(diagnosis["precision"], "fp16");
  EXPECT_EQ(files_of(path("earlier")), before);
}

TEST_F(Doctor, TheRunHasAPrecisionAlready) {
  ASSERT_EQ(run(small("train", "earlier", {"--steps", "1"})).status, 0);
  expect_refusal_like(run({"doctor", "earlier", "--precision", "fp16", "--output", "x"}), 2,
                      "--precision cannot be combined with a run's folder");
  expect_refusal_like(run({"doctor", "none", "--output", "x"}), 3, "none: no such folder");
}

TEST_F(Doctor, APolicyForAnotherModel) {
  std::ofstream(path("other.json")) << R"({"base": "fast_cpu", "rules": {"lstm": "fp32"}})";
  const auto diagnosis =
      examined("other", {"--policy", "other.json", "--precision", "bf16", "--steps", "1"});
  ASSERT_EQ(diagnosis["notes"].size(), 1U);
  EXPECT_TRUE(contains(diagnosis["notes"][0], "did not run: lstm")) << diagnosis["notes"];
  std::ofstream(path("unknown.json")) << R"({"base": "fast_cpu", "rules": {"mine::op": "fp32"}})";
  expect_refusal_like(run(small("doctor", "x", {"--policy", "unknown.json"})), 3,
                      "unknown.json: ", "mine::op");
}

TEST_F(Doctor, ModelsThatCannotBeTrained) {
  for (const std::string command : {"doctor", "advise"}) {
    expect_refusal_like(run(small(command, "x", {"--model", kFaulty + "no_parameters"})), 2,
                        "model " + kFaulty + "no_parameters: it has no parameters to train");
    expect_refusal_like(run(small(command, "x", {"--model", kFaulty + "integer_outputs"})), 2,
                        "model " + kFaulty + "integer_outputs: for images of shape",
                        "got [2, 4] of Long");
    expect_refusal_like(run(small(command, "x", {"--model", kFaulty + "other_inputs"})), 2,
                        "model " + kFaulty + "other_inputs: given images of shape", "it failed");
  }
}

TEST_F(Doctor, OptionsOutOfRange) {
  expect_refusal(run(small("doctor", "x", {"--every", "0"})), 2, "--every must be >= 1, got 0");
  examined("twice", {"--steps", "1"});
  expect_refusal(run(small("doctor", "twice", {"--steps", "1"})), 2,
                 "--output twice already has results; pass --overwrite to replace them");
}

}  // namespace
}  // namespace ampersand::tests::doctor_test
