// A run's folder that is used from elsewhere, was moved, or holds what file managers leave behind.
#include <fstream>

#include "tests/program/program.h"

namespace ampersand::tests::moved_run_test {
namespace {

namespace fs = std::filesystem;

class MovedRun : public ProgramTest {
 protected:
  Outcome run_in(const std::string& folder, const Arguments& arguments) const {
    return Process(path(folder), arguments).wait();
  }
  static std::string loss_of(const Outcome& outcome) {
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.out.substr(outcome.out.find("loss"));
  }
};

TEST_F(MovedRun, WorksFromAnyFolderAndWithItsData) {
  write_small_data("project/data");
  auto arguments = small("train", "runs/x");
  ASSERT_EQ(run_in("project", arguments).status, 0);
  const auto loss = loss_of(run_in("project", {"eval", "runs/x"}));
  fs::create_directories(path("elsewhere"));
  EXPECT_EQ(loss_of(run_in("elsewhere", {"eval", "../project/runs/x"})), loss);
  EXPECT_EQ(loss_of(run_in("project/runs/x", {"eval", "."})), loss);
  EXPECT_EQ(loss_of(run_in("project/runs/x/checkpoints", {"eval", "step-000000004"})), loss);
  fs::create_directory_symlink(path("project/runs/x"), path("elsewhere/latest"));
  EXPECT_EQ(loss_of(run_in("elsewhere", {"eval", "latest/"})), loss);

  fs::rename(path("project"), path("archive"));
  EXPECT_EQ(loss_of(run_in("elsewhere", {"eval", "../archive/runs/x"})), loss);
  EXPECT_EQ(run_in("elsewhere", {"predict", "../archive/runs/x"}).status, 0);
  EXPECT_EQ(run_in("elsewhere", {"train", "--resume", "../archive/runs/x", "--steps", "6"}).status,
            0);
  EXPECT_EQ(run_in("elsewhere", {"doctor", "../archive/runs/x", "--steps", "1", "--no-reference",
                                 "--output", "d"})
                .status,
            0);

  // The run alone: its data are where they were.
  const auto later = loss_of(run_in("elsewhere", {"eval", "../archive/runs/x"}));
  fs::rename(path("archive/runs/x"), path("elsewhere/x"));
  EXPECT_EQ(loss_of(run_in("elsewhere", {"eval", "x"})), later);
}

// Data of the same name lie where the run is used, and others where it was.
TEST_F(MovedRun, TakesTheDataWithTheRightContent) {
  write_small_data("project/data");
  ASSERT_EQ(run_in("project", small("train", "run")).status, 0);
  const auto loss = loss_of(run_in("project", {"eval", "run"}));
  fs::create_directories(path("other"));
  fs::copy(path("project/data"), path("other/data"));
  folder_.write("other/data/test-labels-idx1-ubyte", idx_bytes({32}, Bytes(32, 1)));
  EXPECT_EQ(loss_of(run_in("other", {"eval", "../project/run"})), loss);
  fs::rename(path("project"), path("moved"));
  fs::rename(path("other"), path("project"));
  EXPECT_EQ(loss_of(run_in("project", {"eval", "../moved/run"})), loss);
}

TEST_F(MovedRun, ResumesWithTheSameDataByAnotherPath) {
  ASSERT_EQ(run(small("train", "run")).status, 0);
  const auto resumed = [&](const std::string& data, const std::string& steps) {
    return run({"train", "--resume", "run", "--data", data, "--steps", steps});
  };
  EXPECT_EQ(resumed("data", "5").status, 0);
  EXPECT_EQ(resumed(path("data").string(), "6").status, 0);
  EXPECT_EQ(resumed("./data/", "7").status, 0);
  fs::create_directory_symlink("data", path("link"));
  EXPECT_EQ(resumed("link", "8").status, 0);
  fs::copy(path("data"), path("copy"));
  std::ofstream(path("copy/.DS_Store")) << "x";
  EXPECT_EQ(resumed("copy", "9").status, 0);
  fs::remove_all(path("data"));  // and where it was is gone
  EXPECT_EQ(resumed("copy", "10").status, 0);
  folder_.write("copy/train-labels-idx1-ubyte", idx_bytes({64}, Bytes(64, 1)));
  fs::rename(path("copy"), path("changed"));
  expect_refusal_like(resumed("changed", "11"), 2,
                      "--data cannot change in a run that is resumed, which has ");
}

TEST_F(MovedRun, ATextIsKnownByItsContent) {
  const auto write = [&](const std::string& name, char last) {
    std::ofstream(path(name)) << std::string(4000, 'a') << " quick brown foxes " << last << '\n';
  };
  write("text.txt", 'x');
  ASSERT_EQ(run({"train", "--model", "lstm", "--data", "text.txt", "--steps", "1", "--width", "8",
                 "--layers", "1", "--context", "16", "--batch-size", "4", "--threads", "1",
                 "--output", "run"})
                .status,
            0);
  write("same.txt", 'x');
  write("other.txt", 'y');
  fs::remove(path("text.txt"));
  EXPECT_EQ(run({"train", "--resume", "run", "--data", "same.txt", "--steps", "2"}).status, 0);
  expect_refusal_like(run({"train", "--resume", "run", "--data", "other.txt", "--steps", "3"}), 2,
                      "--data cannot change in a run that is resumed");
}

TEST_F(MovedRun, PassesOverHarmlessStrangers) {
  ASSERT_EQ(run(small("train", "run", {"--checkpoint-every", "2"})).status, 0);
  const auto expected = run({"eval", "run"});
  const std::string newest = "run/checkpoints/step-000000004/";
  for (const std::string name :
       {".DS_Store", ".nfs00000000001", "weights.safetensors~", ".manifest.json.swp",
        "manifest.json.bak", "#optimizer.pt#", "Thumbs.db", "._weights.safetensors",
        "weights.safetensors.orig"}) {
    std::ofstream(path(newest + name)) << "x";
    std::ofstream(path("run/" + name)) << "x";
    std::ofstream(path("run/checkpoints/" + name)) << "x";
  }
  fs::create_directory(path(newest + "@eaDir"));
  const auto outcome = run({"eval", "run"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, expected.out);
  EXPECT_EQ(outcome.err, "");
  // They outlive the checkpoint, and a new run in the folder.
  EXPECT_EQ(run({"train", "--resume", "run", "--steps", "8", "--checkpoint-every", "1"}).status, 0);
  EXPECT_TRUE(fs::exists(path(newest + ".DS_Store")));
  EXPECT_FALSE(fs::exists(path(newest + "weights.safetensors")));
  fs::remove(path(newest + "@eaDir"));
  EXPECT_EQ(run({"eval", "run"}).err, "");
  EXPECT_EQ(run(small("train", "run", {"--overwrite"})).status, 0);
  EXPECT_EQ(run({"eval", "run"}).err, "");
}

// Anything else is named, and no checkpoint is taken in its place in silence.
TEST_F(MovedRun, OtherStrangersAreNamed) {
  ASSERT_EQ(run(small("train", "run")).status, 0);
  std::ofstream(path("run/checkpoints/step-000000004/extra.bin")) << "x";
  const auto outcome = run({"eval", "run"});
  EXPECT_EQ(outcome.status, 3);
  EXPECT_TRUE(contains(outcome.err, "holds \"extra.bin\", which is no part")) << outcome.err;
}

TEST_F(MovedRun, TheReasonIsTheSystemsOwn) {
  const std::string long_name(300, 'x');
  expect_refusal_like(run({"eval", long_name}), 3, long_name + ": cannot be opened",
                      "File name too long");
  folder_.write("file", {1});
  expect_refusal_like(run({"eval", "file"}), 3, "file: not a folder");
  expect_refusal_like(run({"replay", long_name}), 3, long_name + ": cannot be read",
                      "File name too long");
  expect_refusal_like(run({"replay", "nowhere"}), 3, "nowhere: cannot be read",
                      "No such file or directory");
  expect_refusal_like(run(small("train", "d", {"--policy", long_name})), 3,
                      long_name + ": cannot be read", "File name too long");
}

}  // namespace
}  // namespace ampersand::tests::moved_run_test
