// --policy and --explain: rules by the names that users know, and by module.
#include <fstream>

#include "tests/program/program.h"

namespace ampersand::tests::policy_test {
namespace {

class Policy : public ProgramTest {
 protected:
  Outcome train(const std::string& name, const std::string& policy,
                const Arguments& more = {}) const {
    std::ofstream(path(name + ".json")) << policy;
    Arguments arguments = {"--precision",
                           "bf16",
                           "--explain",
                           "--steps",
                           "2",
                           "--policy",
                           path(name + ".json").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(small("train", name, arguments));
  }
  // {why: calls} of an op in the first step.
  std::map<std::string, int> why(const std::string& name, const std::string& op) const {
    std::map<std::string, int> found;
    const auto events = events_of(path(name) / "metrics.jsonl", "casts");
    for (const auto& row : events.at(0)["ops"])
      if (row["op"] == op) found[row["why"]] += row["calls"].get<int>();
    return found;
  }
};

using Rows = std::map<std::string, int>;

TEST_F(Policy, LinearIsWhatTheModelsLinearLayersCall) {
  const auto outcome =
      train("linear", R"({"base": "fast_cpu", "rules": {"linear": "fp32"}})", {"--model", "mlp"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(why("linear", "addmm"),
            (Rows{{"addmm: fp32 (its tensors are cast to fp32), as 'linear', where the second "
                   "operand is a parameter",
                   3}}));
  EXPECT_TRUE(contains(outcome.out, "as 'linear'")) << outcome.out;
}

TEST_F(Policy, ModulesHaveRulesByName) {
  const auto outcome = train("modules", R"({"base": "fast_cpu", "modules": [
      {"module": "hidden*", "rule": "fp32"}, {"module": "hidden2", "rule": "lower_precision"}]})",
                             {"--model", "mlp"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(
      why("modules", "addmm"),
      (Rows{{"addmm: fp32 (its tensors are cast to fp32), by the rule of the module hidden*", 1},
            {"addmm: lower_precision (its tensors are cast to the region's dtype), by the rule "
             "of the module hidden2",
             1},
            {"addmm: lower_precision (its tensors are cast to the region's dtype), by the fast "
             "CPU list",
             1}}));
  const auto recipe = json_of(path("modules") / "recipe.json");
  EXPECT_EQ(recipe["policy"]["modules"][1]["module"], "hidden2");
  EXPECT_EQ(json_of(path("modules") / "results.json")["runs"][0]["policy"], "fast_cpu, edited");
  // The trained model is evaluated by the same rules, and goes on.
  EXPECT_EQ(run({"eval", "modules"}).status, 0);
  EXPECT_EQ(run({"train", "--resume", "modules", "--steps", "3"}).status, 0);
}

TEST_F(Policy, OneOfTwoConvolutions) {
  const auto outcome =
      train("conv", R"({"base": "fast_cpu", "modules": {"conv1": "fp32"}})", {"--model", "cnn"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(why("conv", "conv2d.default").size(), 2U);
}

TEST_F(Policy, APatternThatMeansNoModuleIsOneLine) {
  const auto outcome =
      train("none", R"({"base": "fast_cpu", "modules": {"hiden1": "fp32"}})", {"--model", "mlp"});
  expect_refusal_like(outcome, 2, "OpPolicy: no module of the model is meant by 'hiden1'",
                      "did you mean 'hidden1'?");
}

}  // namespace
}  // namespace ampersand::tests::policy_test
