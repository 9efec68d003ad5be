// Names of any bytes in every command: files' names are not always UTF-8, and JSON is.
#include <fstream>

#include "app/files/utf8.h"
#include "tests/program/program.h"

namespace ampersand::tests::names_test {
namespace {

class Names : public ProgramTest {
 protected:
  void SetUp() override {
    std::string text;
    for (int i = 0; i < 120; ++i) text += "the cat sat on the mat and " + std::to_string(i) + "\n";
    std::ofstream(path("caf\xe9.txt"), std::ios::binary) << text;
  }

  Arguments tiny(const std::string& command, const Arguments& more = {}) const {
    return joined(
        {command, "--model", "lstm", "--data", "caf\xe9.txt", "--context", "16", "--layers", "1",
         "--width", "16", "--batch-size", "8", "--steps", "4", "--threads", "1"},
        more);
  }

  // Every file of a run that is text.
  void expect_utf8(const std::string& run) const {
    for (const auto& [name, bytes] : files_of(path(run))) {
      if (!name.ends_with(".safetensors") && !name.ends_with(".pt")) {
        EXPECT_EQ(find_invalid_utf8(bytes), std::nullopt) << name;
      }
    }
  }
};

TEST_F(Names, ATrainingOnAFileOfAnyNameIsKept) {
  const auto trained = run(tiny("train", {"--output",
                                          "r\xff"
                                          "n",
                                          "--checkpoint-every", "2"}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  expect_utf8(
      "r\xff"
      "n");
  EXPECT_EQ(json_of(path("r\xff"
                         "n/results.json"))["settings"]["data"],
            "caf\\xe9.txt");
  const auto evaluated = run({"eval",
                              "r\xff"
                              "n",
                              "--json"});
  ASSERT_EQ(evaluated.status, 0) << evaluated.err;
  EXPECT_TRUE(contains(Json::parse(evaluated.out)["checkpoint"], "r\\xffn/checkpoints"));
  EXPECT_EQ(run({"predict",
                 "r\xff"
                 "n"})
                .status,
            0);
  EXPECT_EQ(run({"report",
                 "r\xff"
                 "n"})
                .status,
            0);
  EXPECT_EQ(run({"export",
                 "r\xff"
                 "n",
                 "--output", "w\xfe.safetensors"})
                .status,
            0);
  std::filesystem::remove_all(
      path("r\xff"
           "n/checkpoints/step-000000004"));
  const auto resumed = run({"train", "--resume",
                            "r\xff"
                            "n"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  expect_utf8(
      "r\xff"
      "n");
}

TEST_F(Names, ARecipeOfAnyNameNamesAPrecision) {
  ASSERT_EQ(run(tiny("train", {"--output", "first"})).status, 0);
  std::filesystem::rename(path("first/recipe.json"), path("r\xe9.json"));
  const auto trained =
      run(tiny("train", {"--output", "run", "--recipe", "r\xe9.json", "--tensorboard"}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_EQ(json_of(path("run/results.json"))["runs"][0]["precision"], "r\\xe9");
  EXPECT_EQ(run({"eval", "run"}).status, 0);
}

TEST_F(Names, AComparisonOnAFileOfAnyName) {
  const auto compared = run(tiny("compare", {"--output", "c\xff", "--precisions", "fp32,bf16"}));
  ASSERT_EQ(compared.status, 0) << compared.err;
  expect_utf8("c\xff");
}

TEST_F(Names, AnExaminationOfAFileOfAnyName) {
  for (const std::string command : {"doctor", "advise"}) {
    const auto outcome = run(tiny(command, {"--output", command + "\xff"}));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    expect_utf8(command + "\xff");
  }
}

TEST_F(Names, ARefusalIsUtf8) {
  expect_refusal_like(run({"train", "--model", "lstm", "--data", "no\xff"}), 3,
                      "no\\xff: no such file");
  expect_refusal_like(run({"train", "--model", "no\xff"}), 2, "--model must be", "got 'no\\xff'");
  expect_refusal_like(run({"eval", "no\xff"}), 3, "no\\xff: no such folder");
}

}  // namespace
}  // namespace ampersand::tests::names_test
