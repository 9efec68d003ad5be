// Checkpoints: training that was cut short goes on as if it had not been.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <random>
#include <thread>

#include "tests/program/program.h"
#include "tests/support/folders.h"

namespace ampersand::tests::resume_test {
namespace {

class Resume : public ProgramTest {
 protected:
  // 40 micro-batches with everything that a checkpoint has to keep: dropout's generator aside,
  // which the scripted network below brings.
  Arguments training(const std::string& output, const Arguments& more = {}) const {
    return small("train", output,
                 joined({"--precision",
                         "fp16",
                         "--epochs",
                         "10",
                         "--optimizer",
                         "adamw",
                         "--lr",
                         "0.003",
                         "--schedule",
                         "cosine",
                         "--warmup",
                         "3",
                         "--ema",
                         "0.9",
                         "--accumulation",
                         "2",
                         "--max-grad-norm",
                         "1",
                         "--augment",
                         "--checkpoint-every",
                         "4"},
                        more));
  }

  std::vector<Json> losses(const std::string& output) const {
    std::vector<Json> all;
    for (const auto& step : events_of(path(output) / "metrics.jsonl", "step"))
      all.push_back({step["step"], step["loss"], step["scale"], step["lr"], step["skipped"]});
    return all;
  }

  std::string weights(const std::string& output, const std::string& part = "weights") const {
    return text_of(path(output) / "checkpoints/step-000000040" / (part + ".safetensors"));
  }

  void expect_same_end(const std::string& output, const std::string& reference) const {
    EXPECT_EQ(losses(output), losses(reference));
    EXPECT_EQ(weights(output), weights(reference));
    EXPECT_EQ(weights(output, "ema"), weights(reference, "ema"));
    const auto ours = json_of(path(output) / "results.json")["runs"][0];
    const auto theirs = json_of(path(reference) / "results.json")["runs"][0];
    for (const char* field : {"test_loss", "test_accuracy", "train_loss", "steps", "skipped_at",
                              "final_scale", "ending"})
      EXPECT_EQ(ours[field], theirs[field]) << field;
  }

  std::vector<std::string> checkpoints(const std::string& output) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path(output) / "checkpoints"))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
};

TEST_F(Resume, KilledTwentyTimesItEndsAsIfItHadNotBeen) {
  ASSERT_EQ(run(training("whole")).status, 0);
  EXPECT_EQ(checkpoints("whole"), (std::vector<std::string>{"step-000000036", "step-000000040"}));
  std::mt19937 random(7);
  int kills = 0;
  auto arguments = training("cut");
  for (int i = 0; i < 20; ++i) {
    Process process(folder_.path(), arguments);
    // Until its first checkpoint there is nothing to go on from.
    const auto begun = path("cut/checkpoints/step-000000000");
    for (int wait = 0; wait < 500 && i == 0 && !std::filesystem::exists(begun); ++wait)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::this_thread::sleep_for(
        std::chrono::milliseconds(std::uniform_int_distribution<int>(0, 700)(random)));
    process.send(SIGKILL);
    const auto outcome = process.wait();
    if (outcome.status == 0 || contains(outcome.err, "already; ask for more")) break;  // too late
    EXPECT_EQ(outcome.status, 128 + SIGKILL) << outcome.err;
    ++kills;
    arguments = {"train", "--resume", "cut", "--threads", "1"};
  }
  EXPECT_GT(kills, 0);
  const auto last = run(arguments);
  EXPECT_TRUE(last.status == 0 || contains(last.err, "is at step 40 of 40 already")) << last.err;
  expect_same_end("cut", "whole");
}

TEST_F(Resume, CtrlCLeavesACheckpoint) {
  ASSERT_EQ(run(training("whole")).status, 0);
  auto arguments = training("cut");
  arguments.erase(std::find(arguments.begin(), arguments.end(), "--checkpoint-every"),
                  arguments.end());
  arguments = joined(arguments, {"--checkpoint-every", "0"});
  {
    Process process(folder_.path(), arguments);
    for (int i = 0; i < 5000 && events_of(path("cut/metrics.jsonl"), "step").size() < 3; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    process.send(SIGINT);
    EXPECT_EQ(process.wait().status, 130);
  }
  ASSERT_EQ(checkpoints("cut").size(), 1U);
  const auto outcome = run({"train", "--resume", "cut"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  expect_same_end("cut", "whole");
}

// Dropout draws from the generator, batch norm keeps buffers, O2 has masters.
TEST_F(Resume, ScriptedNetworkInO2GoesOnBitForBit) {
  const Arguments options = {"--model",
                             amp::tests::golden_folder() + "/scripted/convnet.pt",
                             "--precision",
                             "O2",
                             "--epochs",
                             "10",
                             "--checkpoint-every",
                             "10"};
  ASSERT_EQ(run(small("train", "whole", options)).status, 0);
  ASSERT_EQ(run(small("train", "cut", joined(options, {"--steps", "20"}))).status, 0);
  const auto outcome = run({"train", "--resume", "cut", "--steps", "0"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(losses("cut"), losses("whole"));
  EXPECT_EQ(weights("cut"), weights("whole"));
  const auto results = json_of(path("cut/results.json"));
  EXPECT_EQ(results["runs"][0]["recipe"]["model_dtype"], "fp16");
  EXPECT_EQ(results["settings"]["steps"], 0) << "the page tells of the first command";
}

TEST_F(Resume, TheNewestWholeCheckpointIsTaken) {
  ASSERT_EQ(run(training("whole")).status, 0);
  ASSERT_EQ(run(training("cut", {"--steps", "20"})).status, 0);
  ASSERT_EQ(checkpoints("cut").back(), "step-000000020");
  // One bit.
  const auto part = path("cut/checkpoints/step-000000020/weights.safetensors");
  auto bytes = text_of(part);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  std::ofstream(part, std::ios::binary) << bytes;
  const auto outcome = run({"train", "--resume", "cut", "--steps", "0"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err,
                       "passed over a damaged checkpoint: cut/checkpoints/"
                       "step-000000020/weights.safetensors: does not match its hash"))
      << outcome.err;
  // Its learning rates up to step 20 were those of a run of 20; from there on it is another run.
  EXPECT_EQ(losses("cut").size(), 40U);
}

TEST_F(Resume, WhatCannotBeResumedIsSaid) {
  expect_refusal(run({"train", "--resume", "nowhere"}), 3,
                 "nowhere: no such folder; give one that `ampersand train` wrote");
  std::filesystem::create_directory(path("empty"));
  expect_refusal(run({"train", "--resume", "empty"}), 3,
                 "empty: has no checkpoint; train again, with --checkpoint-every for one along the "
                 "way");
  ASSERT_EQ(run(small("train", "run")).status, 0);
  const auto before = files_of(path("run"));
  expect_refusal(run({"train", "--resume", "run"}), 2,
                 "--resume run: the run is at step 4 of 4 already; ask for more with --epochs or "
                 "--steps");
  expect_refusal(run({"train", "--resume", "run", "--batch-size", "8", "--epochs", "9"}), 2,
                 "--batch-size cannot change in a run that is resumed, which has 16; leave it out, "
                 "or start a new run");
  expect_refusal(
      run({"train", "--resume", "run", "--output", "other"}), 2,
      "--output cannot be combined with --resume, which goes on in the folder, the precision "
      "and the policy of the run; leave it out");
  EXPECT_EQ(files_of(path("run")), before);
}

TEST_F(Resume, ACheckpointOfAnotherModelOrANewerVersionIsRefused) {
  ASSERT_EQ(run(small("train", "cnn")).status, 0);
  // A damaged manifest leaves nothing to go on from.
  const auto manifest = path("cnn/checkpoints/step-000000004/manifest.json");
  const auto text = text_of(manifest);
  std::ofstream(manifest, std::ios::binary) << text.substr(0, text.size() - 1);
  const auto outcome = run({"train", "--resume", "cnn", "--epochs", "2"});
  EXPECT_EQ(outcome.status, 3);
  EXPECT_TRUE(contains(outcome.err,
                       "manifest.json: does not match the hash in its last line, so it is damaged"))
      << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "cnn/checkpoints: has no whole checkpoint")) << outcome.err;
}

TEST_F(Resume, TwoProcessesCannotWriteOneFolder) {
  Process process(folder_.path(), training("run", {"--steps", "1000000"}));
  for (int i = 0; i < 5000 && events_of(path("run/metrics.jsonl"), "step").size() < 3; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const auto second = run(small("train", "run", {"--overwrite"}));
  expect_refusal(
      second, 2,
      "--output run is being written by another process; choose another folder, or wait");
  process.send(SIGKILL);
  process.wait();
}

TEST_F(Resume, TensorBoardFilesAreWrittenAgain) {
  ASSERT_EQ(run(training("run", {"--steps", "8", "--tensorboard"})).status, 0);
  ASSERT_EQ(run({"train", "--resume", "run", "--steps", "12"}).status, 0);
  const auto files = files_of(path("run/tensorboard"));
  ASSERT_EQ(files.size(), 1U);
  const auto& [name, bytes] = *files.begin();
  EXPECT_TRUE(contains(name, "fp16-seed0/events.out.tfevents."));
  std::size_t count = 0;
  for (auto at = bytes.find("train/loss_scale"); at != std::string::npos;
       at = bytes.find("train/loss_scale", at + 1))
    ++count;
  EXPECT_EQ(count, 12U);
}

}  // namespace
}  // namespace ampersand::tests::resume_test
