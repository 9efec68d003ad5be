// The standard streams: closed ones, full ones, and readers that go away.
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/program/program.h"

namespace ampersand::tests::streams_test {
namespace {

class Streams : public ProgramTest {
 protected:
  // Runs a script in the test's folder, with $A as the program. Returns its exit status.
  int shell(const std::string& script) const {
    std::ofstream(path("script")) << "cd '" << folder_.path().string() << "'\nA='" AMP_PROGRAM "'\n"
                                  << script << '\n';
    const int status = std::system(("bash '" + path("script").string() + "'").c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  // $A with the options of small.
  std::string command(const std::string& name, const std::string& output,
                      const Arguments& more = {}) const {
    std::string line = "$A";
    for (const auto& word : small(name, output, more)) line += " '" + word + "'";
    return line;
  }

  void expect_whole_run(const std::string& folder) const {
    EXPECT_EQ(json_of(path(folder + "/results.json"))["interrupted"], false);
    EXPECT_TRUE(std::filesystem::exists(path(folder + "/checkpoints/step-000000004")));
    std::ifstream metrics(path(folder + "/metrics.jsonl"));
    for (std::string line; std::getline(metrics, line);)
      EXPECT_TRUE(Json::parse(line, nullptr, false).is_object()) << line;
  }
};

const std::string kFull =
    "ampersand: standard output: cannot be written (No space left on device)\n";

TEST_F(Streams, AFullOutputIsAnErrorOfEachCommand) {
  ASSERT_EQ(run(small("train", "run", {"--precision", "fp16"})).status, 0);
  for (const std::string arguments :
       {"--version", "--help", "train --help", "predict --help", "eval run", "eval run --json",
        "predict run", "replay run", "replay run --json", "report run", "info --threads 1",
        "export run --output w.safetensors", "predict run --output p.csv"}) {
    EXPECT_EQ(shell("$A " + arguments + " > /dev/full 2> err"), 3) << arguments;
    EXPECT_EQ(text_of(path("err")), kFull) << arguments;
  }
  // What is on file is whole.
  for (const std::string name : {"train", "compare"}) {
    EXPECT_EQ(shell(command(name, name,
                            {"--precision" + std::string(name == "train" ? "" : "s"), "bf16"}) +
                    " > /dev/full 2> err"),
              3);
    EXPECT_TRUE(text_of(path("err")).ends_with(kFull)) << text_of(path("err"));
    EXPECT_EQ(json_of(path(name + "/results.json"))["interrupted"], false);
  }
  EXPECT_EQ(shell("$A eval nowhere > /dev/full 2> err"), 3);
  EXPECT_TRUE(contains(text_of(path("err")), "nowhere: no such folder"));  // the first failure
}

TEST_F(Streams, AReaderThatGoesAwayCostsNoRun) {
  shell(command("train", "one") + " 2>&1 | head -c 1 > seen");
  expect_whole_run("one");
  EXPECT_EQ(shell(command("train", "none") + " 2>&1 | true; exit ${PIPESTATUS[0]}"), 3);
  expect_whole_run("none");
  // Standard error alone is no loss.
  EXPECT_EQ(shell(command("train", "quiet") + " 2> >(true) > out"), 0);
  expect_whole_run("quiet");
  EXPECT_EQ(shell("$A predict none 2> err | true; exit ${PIPESTATUS[0]}"), 3);
  EXPECT_EQ(text_of(path("err")), "ampersand: standard output: cannot be written (Broken pipe)\n");
}

TEST_F(Streams, ClosedOnesGetNothingOfAnyFile) {
  for (const std::string policy : {"OMP_WAIT_POLICY=passive", "-u OMP_WAIT_POLICY"}) {
    for (const std::string closed : {">&- 2>&-", "<&- >&- 2>&-", "<&-", "2>&-"}) {
      EXPECT_EQ(shell("env " + policy + " " + command("train", "run") + " " + closed), 0) << closed;
      expect_whole_run("run");
      EXPECT_EQ(text_of(path("run/metrics.jsonl")).find("ampersand:"), std::string::npos);
      std::filesystem::remove_all(path("run"));
    }
    // Who asks for an answer and closes the place for it gets none.
    ASSERT_EQ(run(small("train", "run")).status, 0);
    for (const std::string asked : {"eval run", "predict run", "--version"}) {
      EXPECT_EQ(shell("env " + policy + " $A " + asked + " >&- 2> err"), 3) << asked;
      EXPECT_EQ(text_of(path("err")),
                "ampersand: standard output: cannot be written (Bad file descriptor)\n");
    }
    std::filesystem::remove_all(path("run"));
  }
}

TEST_F(Streams, TheProcessKeepsItsName) {
  for (const std::string policy : {"OMP_WAIT_POLICY=passive", "-u OMP_WAIT_POLICY"}) {
    EXPECT_EQ(
        shell("env " + policy + " " +
              command("train", "run", {"--overwrite", "--epochs", "1000000"}) +
              " > out 2> err & id=$!\n"
              "for i in $(seq 300); do grep -q step run/metrics.jsonl && break; sleep 0.1; done "
              "2> err\n"
              "cat /proc/$id/comm > name; kill -9 $id; wait $id 2> err; exit 0"),
        0);
    EXPECT_EQ(text_of(path("name")), "ampersand\n") << policy;
    std::filesystem::remove_all(path("run"));
  }
}

}  // namespace
}  // namespace ampersand::tests::streams_test
