// The output folder: where it may be, and that results which are there already are never lost
// unasked.
#include <sys/stat.h>

#include <fstream>
#include <future>
#include <memory>

#include "tests/program/program.h"

namespace ampersand::tests::output_test {
namespace {

using Output = ProgramTest;
namespace fs = std::filesystem;

const std::string kForeign =
    " is not as this program wrote it, and would be replaced; move it away, or choose another "
    "--output";

void put(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

TEST_F(Output, IsMadeWithTheFoldersAboveIt) {
  EXPECT_EQ(run(small("train", "a/b/c")).status, 0);
  for (const std::string file : {"metrics.jsonl", "results.json", "report.html", "recipe.json",
                                 "checkpoints/step-000000004/weights.safetensors"})
    EXPECT_TRUE(std::filesystem::exists(path("a/b/c/" + file))) << file;
  // Those, three more of the checkpoint, and the list of what the program wrote.
  EXPECT_EQ(files_of(path("a")).size(), 9U);
}

TEST_F(Output, IsRunsAndTheDateUnlessNamed) {
  auto arguments = small("train", "");
  const auto outcome = run(arguments);
  EXPECT_EQ(outcome.status, 0);
  ASSERT_EQ(std::distance(std::filesystem::directory_iterator(path("runs")), {}), 1);
  const auto folder = std::filesystem::directory_iterator(path("runs"))->path();
  EXPECT_TRUE(folder.filename().string().starts_with("train-20")) << folder;
  EXPECT_TRUE(
      contains(outcome.out, "report   runs/" + folder.filename().string() + "/report.html\n"));
}

TEST_F(Output, ThatCannotBeMade) {
  folder_.write("file", {1, 2, 3});
  const auto before = files_of(path("file").parent_path());
  expect_refusal(run(small("train", "file")), 3,
                 "file: cannot be made (Not a directory); choose another --output");
  expect_refusal(run(small("train", "file/below")), 3,
                 "file/below: cannot be made (Not a directory); choose another --output");
  EXPECT_EQ(text_of(path("file")), "\x01\x02\x03");
  const std::string long_name(300, 'x');
  expect_refusal(run(small("train", long_name)), 3,
                 long_name + ": cannot be made (File name too long); choose another --output");
}

TEST_F(Output, NameNeedsNoUtf8) {
  EXPECT_EQ(run(small("train", "caf\xe9")).status, 0);
  EXPECT_TRUE(contains(json_of(path("caf\xe9/results.json"))["command"], "--output caf\\xe9"));
}

// Every way to be refused that is noticed before training begins.
TEST_F(Output, EarlierResultsSurviveARefusal) {
  ASSERT_EQ(run(small("train", "results")).status, 0);
  const auto before = files_of(path("results"));
  ASSERT_EQ(before.size(), 9U);

  expect_refusal(run(small("train", "results")), 2,
                 "--output results already has results; pass --overwrite to replace them");
  expect_refusal(run(small("compare", "results")), 2,
                 "--output results already has results; pass --overwrite to replace them");
  for (const Arguments& wrong :
       {Arguments{"--model", "vgg"}, Arguments{"--lr", "nan"}, Arguments{"--data", "nowhere"},
        Arguments{"--device", "cuda"}, Arguments{"--batch-size", "65"},
        Arguments{"--precision", "fp16-scale-1e-50"}, Arguments{"--optimizer", "lion"},
        Arguments{"--cpu-fp32-engine", "mkl"}, Arguments{"--steps", "99999999999999999999"}}) {
    const auto outcome = run(small("train", "results", joined({"--overwrite"}, wrong)));
    EXPECT_TRUE(outcome.status == 2 || outcome.status == 3) << wrong[0];
    EXPECT_EQ(files_of(path("results")), before) << wrong[0];
  }
  write_small_data("flat");
  folder_.write("flat/train-images-idx3-ubyte", idx_bytes({64, 1, 64}, Bytes(4096, 1)));
  run(small("train", "results", {"--overwrite", "--data", "flat"}));
  EXPECT_EQ(files_of(path("results")), before);
}

TEST_F(Output, OverwriteReplacesResults) {
  ASSERT_EQ(run(small("train", "results", {"--seed", "1"})).status, 0);
  std::ofstream(path("results/notes.txt")) << "mine";
  ASSERT_EQ(run(small("train", "results", {"--seed", "2", "--overwrite"})).status, 0);
  EXPECT_EQ(json_of(path("results/results.json"))["runs"][0]["seed"], 2);
  EXPECT_EQ(events_of(path("results/metrics.jsonl"), "start").size(), 1U);
  EXPECT_EQ(text_of(path("results/notes.txt")), "mine");
}

TEST_F(Output, ResultsWithoutMetricsAreResults) {
  ASSERT_EQ(run(small("train", "results")).status, 0);
  std::filesystem::remove(path("results/metrics.jsonl"));
  const auto before = files_of(path("results"));
  expect_refusal(run(small("train", "results")), 2,
                 "--output results already has results; pass --overwrite to replace them");
  EXPECT_EQ(files_of(path("results")), before);

  // Metrics that cannot be written cost nothing either.
  std::filesystem::create_directory(path("results/metrics.jsonl"));
  expect_refusal(run(small("train", "results", {"--overwrite"})), 2,
                 "--output: results/metrics.jsonl" + kForeign);
  EXPECT_EQ(files_of(path("results")), before);
}

TEST_F(Output, KeepsTheFilesOfOthers) {
  const std::map<std::string, std::string> others = {
      {"d/checkpoints/epoch=99.ckpt", "weights"},
      {"d/checkpoints/step-7/x", "short"},
      {"d/tensorboard/run/events.out.tfevents.1", "curve"},
      {"d/notes.txt", "mine"},
      {"d/doctor.json", "mine"},
      {"d/inspect-mine.html", "mine"}};
  for (const auto& [name, text] : others) put(path(name), text);
  const auto expect_all_there = [&] {
    for (const auto& [name, text] : others) EXPECT_EQ(text_of(path(name)), text) << name;
  };
  ASSERT_EQ(run(small("train", "d", {"--tensorboard"})).status, 0);
  expect_all_there();
  ASSERT_EQ(run(small("train", "d", {"--tensorboard", "--overwrite", "--steps", "2"})).status, 0);
  expect_all_there();
  EXPECT_FALSE(fs::exists(path("d/checkpoints/step-000000004")));  // the program's own
  EXPECT_TRUE(fs::exists(path("d/checkpoints/step-000000002/manifest.json")));
  // One file of the run before is gone, one of this run is there.
  EXPECT_EQ(std::distance(fs::directory_iterator(path("d/tensorboard/fp32-seed0")), {}), 1);
  ASSERT_EQ(run(small("train", "d", {"--overwrite", "--lr", "1e30"})).status, 4);
  expect_all_there();
  ASSERT_EQ(run({"train", "--resume", "d", "--steps", "9"}).status, 3);  // it left no checkpoint
  expect_all_there();
}

// Also where the results go into the working folder, which is full of others' files.
TEST_F(Output, KeepsTheFilesOfTheWorkingFolder) {
  put(path("checkpoints/best.pt"), "weights");
  put(path("tensorboard/a"), "curve");
  ASSERT_EQ(run(small("train", ".")).status, 0);
  ASSERT_EQ(run(small("train", ".", {"--overwrite"})).status, 0);
  EXPECT_EQ(text_of(path("checkpoints/best.pt")), "weights");
  EXPECT_EQ(text_of(path("tensorboard/a")), "curve");
  EXPECT_TRUE(fs::exists(path("data/train-images-idx3-ubyte")));
}

TEST_F(Output, FilesOfOthersInTheWayAreRefusedByEachCommand) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"train", "metrics.jsonl"},
      {"train", "results.json"},
      {"train", "report.html"},
      {"train", "recipe.json"},
      {"train", "vocabulary.json"},
      {"train", "checkpoints"},
      {"train", "checkpoints/step-000000004/model.bin"},
      {"compare", "results.json"},
      {"compare", "inspect.json"},
      {"doctor", "doctor.json"},
      {"doctor", "doctor.html"},
      {"doctor", "recipe.json"},
      {"doctor", "policy.json"},
      {"advise", "advise.json"},
      {"advise", "advise.html"},
      {"advise", "policy.json"}};
  for (const auto& [command, name] : cases) {
    for (const Arguments& more : {Arguments{}, Arguments{"--overwrite"}}) {
      put(path("d/" + name), "mine");
      const auto before = files_of(path("d"));
      const bool inside = name.ends_with("model.bin");
      expect_refusal(run(small(command, "d", more)), 2,
                     "--output: d/" + (inside ? "checkpoints/step-000000004" : name) + kForeign);
      EXPECT_EQ(files_of(path("d")), before) << command << ' ' << name;
      fs::remove_all(path("d"));
    }
  }
}

// A link is nothing that the program wrote, and what it leads to is left alone.
TEST_F(Output, LinksInTheFolderAreRefused) {
  put(path("elsewhere.json"), "mine");
  fs::create_directory(path("d"));
  for (const char* target : {"../elsewhere.json", "../nowhere"}) {
    fs::create_symlink(target, path("d/results.json"));
    expect_refusal(run(small("train", "d", {"--overwrite"})), 2,
                   "--output: d/results.json" + kForeign);
    fs::remove(path("d/results.json"));
  }
  EXPECT_EQ(text_of(path("elsewhere.json")), "mine");
}

TEST_F(Output, WhatWasChangedSinceIsKept) {
  ASSERT_EQ(run(small("train", "d", {"--steps", "2"})).status, 0);
  put(path("d/report.html"), "my own words");
  expect_refusal(run(small("train", "d", {"--overwrite"})), 2,
                 "--output: d/report.html" + kForeign);
  const std::string in_place =
      "d/report.html is not as this program wrote it, and would be replaced; move it away, or "
      "choose another folder";
  expect_refusal(run({"report", "d"}), 2, in_place);
  expect_refusal(run({"train", "--resume", "d", "--steps", "4"}), 2, in_place);
  EXPECT_EQ(text_of(path("d/report.html")), "my own words");
}

// A checkpoint that somebody put there is no leftover.
TEST_F(Output, CheckpointsAloneAreResults) {
  ASSERT_EQ(run(small("train", "first")).status, 0);
  fs::create_directories(path("d"));
  fs::copy(path("first/checkpoints"), path("d/checkpoints"), fs::copy_options::recursive);
  const auto before = files_of(path("d"));
  for (const char* command : {"train", "compare"})
    expect_refusal(run(small(command, "d")), 2,
                   "--output d already has results; pass --overwrite to replace them");
  EXPECT_EQ(files_of(path("d")), before);
}

TEST_F(Output, OfAnEarlierVersionIsTheProgramsOwn) {
  ASSERT_EQ(run(small("train", "d", {"--steps", "2"})).status, 0);
  fs::remove(path("d/.ampersand-files"));
  EXPECT_EQ(run({"train", "--resume", "d", "--steps", "3"}).status, 0);
  fs::remove(path("d/.ampersand-files"));
  EXPECT_EQ(run({"report", "d"}).status, 0);
  EXPECT_EQ(run(small("train", "d", {"--overwrite"})).status, 0);
}

TEST_F(Output, RunsOfOneSecondGetFoldersOfTheirOwn) {
  write_small_data();
  auto arguments = small("train", "");
  std::vector<std::unique_ptr<Process>> processes;
  const Environment environment = {{"OMP_WAIT_POLICY", "passive"}};
  for (const char* name : {"one", "two", "three"}) {
    fs::create_directory(path(name));
    fs::create_directory_symlink(path("data"), path(std::string(name) + "/data"));
    fs::create_directories(path("runs"));
    fs::create_directory_symlink(path("runs"), path(std::string(name) + "/runs"));
    processes.push_back(std::make_unique<Process>(path(name), arguments, environment));
  }
  for (auto& process : processes) EXPECT_EQ(process->wait().status, 0);
  EXPECT_EQ(std::distance(fs::directory_iterator(path("runs")), {}), 3);
  for (const auto& folder : fs::directory_iterator(path("runs")))
    EXPECT_TRUE(fs::exists(folder.path() / "results.json")) << folder;
}

TEST_F(Output, OfOneFileIsReplacedOnlyWhenAsked) {
  ASSERT_EQ(run(small("train", "run", {"--steps", "1"})).status, 0);
  for (const char* command : {"predict", "export"}) {
    put(path("file"), "mine");
    expect_refusal(run({command, "run", "--output", "file"}), 2,
                   "--output file is there already; pass --overwrite to replace it");
    EXPECT_EQ(text_of(path("file")), "mine");
    EXPECT_EQ(run({command, "run", "--output", "file", "--overwrite"}).status, 0);
    EXPECT_NE(text_of(path("file")), "mine");
    const auto whole = text_of(path("file"));

    // A link is written through, also to where nothing is yet.
    fs::create_symlink("target", path("link"));
    EXPECT_EQ(run({command, "run", "--output", "link"}).status, 0);
    EXPECT_TRUE(fs::is_symlink(path("link")));
    EXPECT_EQ(text_of(path("target")), whole);
    expect_refusal(run({command, "run", "--output", "link"}), 2,
                   "--output link is there already; pass --overwrite to replace it");

    for (const char* name : {"-", "/dev/stdout", "/dev/fd/1"}) {
      const auto outcome = run({command, "run", "--output", name});
      EXPECT_EQ(outcome.status, 0) << name;
      EXPECT_EQ(outcome.out, whole) << name;
    }
    EXPECT_EQ(run({command, "run", "--output", "/dev/null"}).status, 0);
    EXPECT_TRUE(fs::is_character_file("/dev/null"));
    expect_refusal_like(run({command, "run", "--output", "/dev/full"}), 3,
                        "/dev/full: cannot be written", "No space left on device");
    expect_refusal_like(run({command, "run", "--output", "data"}), 3, "data: cannot be written",
                        "Is a directory");
    const std::string long_name(300, 'x');
    expect_refusal_like(run({command, "run", "--output", long_name}), 3, long_name + ": cannot be ",
                        "File name too long");
    for (const char* name : {"file", "link", "target"}) fs::remove(path(name));
    // A name that leaves no room for a temporary one's ending.
    EXPECT_EQ(run({command, "run", "--output", std::string(250, 'y')}).status, 0);
    fs::remove(path(std::string(250, 'y')));
  }
}

TEST_F(Output, APipeIsWrittenTo) {
  ASSERT_EQ(run(small("train", "run", {"--steps", "1"})).status, 0);
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  auto reader = std::async(std::launch::async, [&] { return text_of(path("pipe")); });
  EXPECT_EQ(run({"predict", "run", "--output", "pipe"}).status, 0);
  EXPECT_EQ(reader.get(), run({"predict", "run"}).out);
  EXPECT_TRUE(fs::is_fifo(path("pipe")));
}

TEST_F(Output, OfSeveralFilesIsAFolder) {
  for (const char* command : {"train", "compare", "doctor", "advise"}) {
    expect_refusal_like(run(small(command, "-")), 2, "--output must be a folder");
    expect_refusal_like(run(small(command, "/dev/null")), 3, "/dev/null: cannot be made",
                        "Not a directory");
  }
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

}  // namespace
}  // namespace ampersand::tests::output_test
