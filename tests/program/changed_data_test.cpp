// Data that have changed since a run: noticed by eval, predict and --resume, and taken with --changed-data.
#include <fstream>

#include "src/checkpoint/manifest.h"
#include "tests/program/program.h"
#include "tests/tasks/speech/wav_files.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::changed_data_test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRemedy =
    "; bring back what it was, name other data with --data, or go on with --changed-data";
constexpr const char* kResumeRemedy = "; bring back what it was, or go on with --changed-data";

class ChangedData : public ProgramTest {
 protected:
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories(path(name).parent_path());
    folder_.write(name, bytes_of(text));
  }
  // Another byte at a place from the end.
  void change(const std::string& name, std::size_t from_end) const {
    auto bytes = text_of(path(name));
    bytes.at(bytes.size() - from_end) ^= 1;
    write(name, bytes);
  }
  Outcome train(const std::string& model, const std::string& data,
                const Arguments& more = {}) const {
    return run(joined(
        {"train", "--model", model, "--data", data, "--layers", "1", "--width", "8", "--batch-size",
         "4", "--steps", "2", "--threads", "1", "--output", "run", "--cpu-fp32-engine", "stock"},
        more));
  }
  Outcome resume(const std::string& steps, const Arguments& more = {}) const {
    return run(joined({"train", "--resume", "run", "--steps", steps}, more));
  }
  void expect_unnoticed(const Arguments& arguments) const {
    const auto outcome = run(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_FALSE(contains(outcome.err, "changed")) << outcome.err;
  }
  // eval and predict refuse, saying so, and go on when they are told to.
  void expect_noticed(const std::string& what) const {
    expect_refusal(run({"eval", "run"}), 3, what + kRemedy);
    expect_refusal(run({"predict", "run"}), 3, what + kRemedy);
    for (const char* command : {"eval", "predict"}) {
      const auto outcome = run({command, "run", "--changed-data"});
      EXPECT_EQ(outcome.status, 0) << outcome.err;
      EXPECT_EQ(outcome.err, "ampersand: " + what + "\n");
    }
  }
};

TEST_F(ChangedData, ATestLabelIsNoticed) {
  ASSERT_EQ(run(small("train", "run")).status, 0);
  expect_unnoticed({"eval", "run"});
  expect_unnoticed({"eval", "run", "--test-samples", "5"});
  const auto whole = text_of(path("data/test-labels-idx1-ubyte"));
  change("data/test-labels-idx1-ubyte", 1);
  expect_noticed("data: the test labels have changed since the run");
  expect_refusal(run({"eval", "run", "--test-samples", "5"}), 3,
                 "data: the test labels have changed since the run" + std::string(kRemedy));
  // What --data names is taken as it is.
  expect_unnoticed({"eval", "run", "--data", "data"});
  expect_refusal(resume("6"), 3,
                 "data: the test labels have changed since the run" + std::string(kResumeRemedy));
  EXPECT_TRUE(fs::exists(path("run/results.json")));
  // A run that went on with them is one of theirs.
  ASSERT_EQ(resume("6", {"--changed-data"}).status, 0);
  expect_unnoticed({"eval", "run"});
  write("data/test-labels-idx1-ubyte", whole);
  expect_noticed("data: the test labels have changed since the run");
}

TEST_F(ChangedData, WhatAreTrainingDataMattersToATraining) {
  ASSERT_EQ(run(small("train", "run")).status, 0);
  change("data/train-images-idx3-ubyte", 9);
  expect_unnoticed({"eval", "run"});
  expect_unnoticed({"predict", "run"});
  const std::string images = "data: the training images have changed since the run";
  expect_refusal(resume("6"), 3, images + kResumeRemedy);
  change("data/train-labels-idx1-ubyte", 9);
  change("data/test-images-idx3-ubyte", 9);
  expect_refusal(resume("6"), 3,
                 "data: the test images, the training images and the training labels have changed "
                 "since the run" +
                     std::string(kResumeRemedy));
  // doctor examines all the same.
  const auto doctor =
      run({"doctor", "run", "--steps", "1", "--no-reference", "--output", "examination"});
  EXPECT_EQ(doctor.status, 0) << doctor.err;
  EXPECT_TRUE(contains(doctor.err, "have changed since the run"));
  expect_refusal(run(small("train", "other", {"--changed-data"})), 2,
                 "--changed-data is for a run that goes on; give --resume, too");
}

TEST_F(ChangedData, ATextIsComparedByItsParts) {
  std::string lines;
  for (int i = 0; i < 400; ++i) lines += "line " + std::to_string(1000 + i) + " of a text\n";
  write("text/a.txt", lines);
  write("text/b.txt", "\xef\xbb\xbf" + lines);
  for (const std::string vocabulary : {"bytes", "bpe-300"}) {
    ASSERT_EQ(train("lstm", "text", {"--vocabulary", vocabulary, "--context", "16", "--overwrite"})
                  .status,
              0);
    expect_unnoticed({"eval", "run"});
    const auto whole = text_of(path("text/b.txt"));
    change("text/a.txt", 40);
    expect_unnoticed({"eval", "run"});
    expect_refusal(
        resume("3"), 3,
        "text: the training text has changed since the run" + std::string(kResumeRemedy));
    change("text/a.txt", 40);
    change("text/b.txt", 40);
    expect_noticed("text: the held-out text has changed since the run");
    write("text/b.txt", whole + "and more\n");
    expect_noticed("text: the held-out text has changed since the run");
    // A prompt needs no data.
    expect_unnoticed({"predict", "run", "--prompt", "line", "--tokens", "3"});
    write("text/b.txt", whole);
    expect_unnoticed({"eval", "run"});
  }
}

TEST_F(ChangedData, ALongTextIsHashedInBlocks) {
  std::string lines;
  for (int i = 0; lines.size() < 5'000'000; ++i)
    lines += std::to_string(i) + " \u00e9t\u00e9 \U0001f600\n";
  write("text.txt", lines);
  ASSERT_EQ(train("lstm", "text.txt", {"--context", "16", "--test-samples", "10"}).status, 0);
  expect_unnoticed({"eval", "run"});
  change("text.txt", 6);
  expect_noticed("text.txt: the held-out text has changed since the run");
  change("text.txt", 6);
  change("text.txt", 4'000'001);
  expect_unnoticed({"eval", "run"});
  expect_refusal(
      resume("3"), 3,
      "text.txt: the training text has changed since the run" + std::string(kResumeRemedy));
}

TEST_F(ChangedData, PairsAreCompared) {
  std::string lines;
  for (int i = 0; i < 40; ++i) lines += std::to_string(i) + "\t<" + std::to_string(i) + ">\n";
  write("pairs.tsv", lines);
  ASSERT_EQ(train("seq2seq", "pairs.tsv", {"--heads", "2"}).status, 0);
  expect_unnoticed({"eval", "run"});
  change("pairs.tsv", 3);
  expect_noticed("pairs.tsv: the test pairs have changed since the run");
  expect_unnoticed({"predict", "run", "--prompt", "7", "--tokens", "3"});
  write("pairs.tsv", lines);
  change("pairs.tsv", lines.size());
  expect_unnoticed({"eval", "run"});
  expect_refusal(
      resume("3"), 3,
      "pairs.tsv: the training pairs have changed since the run" + std::string(kResumeRemedy));
}

TEST_F(ChangedData, RecordingsAreComparedOneByOne) {
  for (int i = 0; i < 10; ++i) {
    write("sounds/" + std::to_string(i) + ".wav", tone(0.5 + 0.05 * i, i));
    write("sounds/" + std::to_string(i) + ".txt", i % 2 == 0 ? "ab" : "b a");
  }
  ASSERT_EQ(train("speech", "sounds", {"--held-out", "0.3"}).status, 0);
  expect_unnoticed({"eval", "run"});
  change("sounds/8.wav", 100);
  expect_noticed("sounds: 1 of the 3 test recordings has changed since the run");
  // Those that are not heard are not compared.
  expect_unnoticed({"eval", "run", "--test-samples", "1"});
  change("sounds/8.wav", 100);
  write("sounds/9.txt", "ba");
  expect_noticed("sounds: the test transcripts have changed since the run");
  write("sounds/9.txt", "b a\n");  // white space around a text is none of it
  expect_unnoticed({"eval", "run"});
  change("sounds/0.wav", 100);
  expect_unnoticed({"eval", "run"});
  expect_refusal(resume("3"), 3,
                 "sounds: 1 of the 7 training recordings has changed since the run" +
                     std::string(kResumeRemedy));
}

TEST_F(ChangedData, ARunOfAnEarlierVersionGoesOn) {
  ASSERT_EQ(run(small("train", "run")).status, 0);
  const auto file = path("run/checkpoints/step-000000004/manifest.json");
  auto manifest = amp::checkpoint::decode_manifest(text_of(file), file);
  auto& about = manifest.about.at("caller");
  ASSERT_EQ(about.at("data_content").size(), 4u);
  about.erase("data_content");
  std::ofstream(file, std::ios::binary) << amp::checkpoint::encode_manifest(manifest);
  change("data/test-labels-idx1-ubyte", 1);
  const auto outcome = run({"eval", "run"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err,
            "ampersand: data: whether these data have changed since the run is not known; it kept "
            "no hash of them, being of an earlier version\n");
}

}  // namespace
}  // namespace ampersand::tests::changed_data_test
