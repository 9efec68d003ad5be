// Training that is cut short, by Ctrl-C or worse: what was recorded stays and can be shown.
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "tests/program/program.h"

namespace ampersand::tests::interrupt_test {
namespace {

class Interrupt : public ProgramTest {
 protected:
  // A comparison that would take hours, once it has recorded more than 20 steps.
  Process& started(const Arguments& more = {}) {
    process_ = std::make_unique<Process>(
        folder_.path(), small("compare", "results",
                              joined({"--precisions", "bf16,fp32", "--epochs", "1000000"}, more)));
    for (int i = 0; i < 5000 && steps() <= 20; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_GT(steps(), 20U);
    return *process_;
  }

  std::size_t steps() const { return events_of(path("results/metrics.jsonl"), "step").size(); }

  void expect_cut_short(const Json& results) const {
    EXPECT_EQ(results["interrupted"], true);
    ASSERT_EQ(results["runs"].size(), 1U);
    const auto& run = results["runs"][0];
    EXPECT_EQ(run["precision"], "bf16");
    EXPECT_EQ(run["ending"], "interrupted");
    EXPECT_EQ(run["diverged"], false);
    EXPECT_EQ(run["steps"], steps());
    EXPECT_TRUE(run["train_loss"].is_number());
    EXPECT_EQ(run["test_accuracy"],
              events_of(path("results/metrics.jsonl"), "evaluation").back()["test_accuracy"]);
  }

  void expect_clean_end(int signal) {
    auto& process = started({"--accumulation", "7"});
    process.send(signal);
    const auto outcome = process.wait();
    EXPECT_EQ(outcome.status, 130);
    EXPECT_TRUE(contains(outcome.out, " interrupted\n")) << outcome.out;
    EXPECT_FALSE(contains(outcome.err, "ampersand:")) << outcome.err;
    const auto results = json_of(path("results/results.json"));
    expect_cut_short(results);
    // SGD's momentum, and nothing of the accumulation group that was cut short.
    const auto& memory = results["runs"][0]["memory"];
    EXPECT_EQ(memory["optimizer"], memory["weights"]);

    const auto page = text_of(path("results/report.html"));
    EXPECT_TRUE(contains(page, "Interrupted before the end"));
    EXPECT_EQ(run({"report", "results"}).status, 0);
    EXPECT_EQ(text_of(path("results/report.html")), page);
  }

  std::unique_ptr<Process> process_;
};

TEST_F(Interrupt, CtrlCKeepsWhatThereIs) { expect_clean_end(SIGINT); }
TEST_F(Interrupt, SoDoesTerm) { expect_clean_end(SIGTERM); }
TEST_F(Interrupt, SoDoesHup) { expect_clean_end(SIGHUP); }

TEST_F(Interrupt, TwoRequestsWithinASecondAreOne) {
  auto& process = started();
  process.send(SIGINT);
  process.send(SIGTERM);
  EXPECT_EQ(process.wait().status, 130);
  expect_cut_short(json_of(path("results/results.json")));
}

TEST_F(Interrupt, WhatTheParentIgnoresStaysIgnored) {
  const auto before = signal(SIGHUP, SIG_IGN);
  auto& process = started();
  signal(SIGHUP, before);
  const auto seen = steps();
  process.send(SIGHUP);
  for (int i = 0; i < 5000 && steps() <= seen + 20; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_GT(steps(), seen + 20);
  process.send(SIGTERM);
  EXPECT_EQ(process.wait().status, 130);
}

// A handler on the stack of a thread that computes would write over numbers that oneDNN keeps there.
TEST_F(Interrupt, NoThreadTakesASignalOnItsStack) {
  auto& process = started();
  int threads = 0, takers = 0;
  const auto tasks = "/proc/" + std::to_string(process.id()) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    const auto status = text_of(task.path() / "status");
    const auto mask = [&](const std::string& name) {
      return std::stoull(status.substr(status.find(name) + name.size()), nullptr, 16);
    };
    bool takes_one = false;
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2}) {
      const auto bit = 1ULL << (number - 1);
      takes_one |= (mask("SigBlk:") & bit) == 0;
      EXPECT_EQ(mask("SigCgt:") & bit, 0U) << number << " has a handler";
    }
    takers += takes_one ? 1 : 0;
    ++threads;
  }
  EXPECT_GE(threads, 2);
  EXPECT_LE(takers, 1);  // the one that waits for them
  process.send(SIGTERM);
  EXPECT_EQ(process.wait().status, 130);
}

TEST_F(Interrupt, Usr1SavesAndUsr2SaysWhereItStands) {
  Process process(folder_.path(), small("train", "run", {"--epochs", "1000000"}));
  const auto lines = [&] { return events_of(path("run/metrics.jsonl"), "step").size(); };
  const auto wait_until = [](const std::function<bool()>& is_so) {
    for (int i = 0; i < 5000 && !is_so(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return is_so();
  };
  ASSERT_TRUE(wait_until([&] { return lines() > 20; }));
  EXPECT_FALSE(std::filesystem::exists(path("run/checkpoints")));
  process.send(SIGUSR1);
  EXPECT_TRUE(wait_until([&] { return std::filesystem::exists(path("run/checkpoints")); }));
  const auto then = lines();
  EXPECT_TRUE(wait_until([&] { return lines() > then + 20; }));  // it goes on
  process.send(SIGUSR2);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  process.send(SIGTERM);
  const auto outcome = process.wait();
  EXPECT_EQ(outcome.status, 130);
  EXPECT_TRUE(contains(outcome.err, "ampersand: fp32, seed 0: ") || contains(outcome.err, " of "))
      << outcome.err;
}

TEST_F(Interrupt, KilledTrainingCanStillBeReported) {
  auto& process = started();
  process.send(SIGKILL);
  EXPECT_EQ(process.wait().status, 128 + SIGKILL);
  EXPECT_FALSE(std::filesystem::exists(path("results/results.json")));
  std::ofstream(path("results/metrics.jsonl"), std::ios::app) << "{\"event\":\"st";

  const auto outcome = run({"report", "results"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "results/report.html\n");
  const auto page = text_of(path("results/report.html"));
  EXPECT_TRUE(contains(page, "Interrupted before the end"));
  const std::string begin = "<script type=\"application/json\" id=\"results\">";
  const auto from = page.find(begin) + begin.size();
  expect_cut_short(Json::parse(page.substr(from, page.find("</script>", from) - from)));
}

}  // namespace
}  // namespace ampersand::tests::interrupt_test
