// Full disks, and processes that are killed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <system_error>

#include "tests/app/errors.h"
#include "tests/checkpoint/parts.h"
#include "tests/support/temporary_folder.h"

namespace amp::checkpoint::tests::failures_test {
namespace {

using files::OutputFile;
using files::Sink;
using files::write_file_atomically;

namespace fs = std::filesystem;
using ampersand::tests::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

// Files of at most `bytes` for this process; a longer one is EFBIG, not a signal.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  sighandler_t handler_;
  rlimit old_{};
};

class Failures : public testing::Test {
 protected:
  ampersand::tests::TemporaryFolder folder_;
  fs::path parent_ = folder_.path() / "checkpoints";
};

TEST_F(Failures, AFullDeviceIsNoticed) {
  OutputFile small("/dev/full", "run/x");
  small.write("x", 1);
  EXPECT_EQ(error_of([&] { small.finish(); }),
            "run/x: cannot be written: No space left on device; free some space there, or choose "
            "another folder");
  OutputFile large("/dev/full", "run/x");
  const std::string block(1 << 20, 'x');
  EXPECT_THAT(error_of([&] { large.write(block.data(), block.size()); }), HasSubstr("No space"));
}

TEST_F(Failures, ALimitOnFileSizesLeavesEarlierCheckpoints) {
  write(parent_, 1);
  const std::string message = [&] {
    const FileSizeLimit limit(1000);
    return error_of([&] { write_checkpoint(parent_, 2, parts_of(2, 2000), {}); });
  }();
  EXPECT_EQ(message, (parent_ / "step-000000002" / "model.bin").string() +
                         ": cannot be written: File too large; raise the limit on file sizes "
                         "(ulimit -f), or choose another folder");
  EXPECT_THAT(names_in(parent_), ElementsAre("step-000000001"));
  EXPECT_EQ(newest_checkpoint(parent_).checkpoint->step(), 1);
}

TEST_F(Failures, AFullDiskLeavesEarlierCheckpoints) {
  const fs::path disk = folder_.path() / "disk";
  fs::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=256k") != 0) {
    GTEST_SKIP() << "cannot mount a small file system: " << std::generic_category().message(errno);
  }
  write(disk, 1);
  EXPECT_THAT(error_of([&] { write_checkpoint(disk, 1, parts_of(2, 1 << 20), {}); }),
              HasSubstr("step-000000001/model.bin: cannot be written: No space left on device"));
  EXPECT_THAT(names_in(disk), ElementsAre("step-000000001"));
  EXPECT_EQ(newest_checkpoint(disk).checkpoint->step(), 1);
  write(disk, 3);
  ::umount(disk.c_str());
}

TEST_F(Failures, AFileIsReplacedWholeOrNotAtAll) {
  const fs::path path = folder_.path() / "results.json";
  const auto with = [&](const std::string& content) {
    write_file_atomically(path, [&](const Sink& sink) { sink(content.data(), content.size()); });
  };
  with("first");
  with("second");
  EXPECT_EQ(content_of(path), "second");
  put(folder_.path() / ".results.json.tmp-2147483646", "of a dead process");
  EXPECT_EQ(error_of<std::runtime_error>([&] {
              write_file_atomically(path, [](const Sink& sink) {
                sink("x", 1);
                throw std::runtime_error("no more");
              });
            }),
            "no more");
  {
    const FileSizeLimit limit(10);
    EXPECT_THAT(error_of([&] { with(std::string(100, 'x')); }),
                HasSubstr(path.string() + ": cannot be written: File too large"));
  }
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("results.json"));
  EXPECT_EQ(content_of(path), "second");
  EXPECT_THAT(error_of([&] { write_file_atomically(folder_.path() / "no" / "x", {}); }),
              HasSubstr("cannot be created: No such file or directory"));
}

// Writes until it is killed: every step twice, so that replacing is met too.
[[noreturn]] void write_for_ever(const fs::path& parent, std::int64_t step) {
  for (;; ++step) {
    for (int time = 0; time < 2; ++time) {
      write_checkpoint(parent, step, parts_of(step, 200'000), {{"steps", step}});
    }
  }
}

TEST_F(Failures, KillingTheWriterAlwaysLeavesAWholeCheckpoint) {
  write(parent_, 0);
  std::mt19937 random(3);
  std::int64_t step = 0;
  for (int round = 0; round < 60; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) write_for_ever(parent_, step + 1);
    ::usleep(static_cast<useconds_t>(500 + random() % 20'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed by itself";
    const auto newest = newest_checkpoint(parent_);
    ASSERT_TRUE(newest.checkpoint) << "round " << round;
    EXPECT_TRUE(newest.passed_over.empty()) << newest.passed_over[0].reason;
    EXPECT_GE(newest.checkpoint->step(), step);
    step = newest.checkpoint->step();
    EXPECT_EQ(newest.checkpoint->about()["steps"], step);
  }
  EXPECT_GT(step, 0) << "no round was long enough to write a checkpoint";
  write(parent_, step + 1);
  EXPECT_EQ(names_in(parent_).size(), 2U);  // and nothing temporary
}

}  // namespace
}  // namespace amp::checkpoint::tests::failures_test
