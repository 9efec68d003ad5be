// One writer per folder, whatever became of the last.
#include "app/files/folder_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "tests/app/errors.h"
#include "tests/support/temporary_folder.h"

namespace ampersand::tests {
namespace {

std::string refusal(const std::filesystem::path& folder, pid_t holder) {
  return "--output " + folder.string() + " is being written by another process (" +
         std::to_string(holder) + "); choose another folder or wait";
}

TEST(FolderLock, IsHeldForTheObjectsLife) {
  const TemporaryFolder folder;
  std::optional<FolderLock> lock(std::in_place, folder.path());
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { FolderLock{folder.path()}; }),
            refusal(folder.path(), getpid()));
  lock.reset();
  EXPECT_NO_THROW(FolderLock{folder.path()});
}

TEST(FolderLock, AnotherProcessHoldsItUntilItIsKilled) {
  const TemporaryFolder folder;
  int ready[2] = {};
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const FolderLock lock(folder.path());
    if (write(ready[1], "x", 1) == 1) pause();
    _exit(1);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { FolderLock{folder.path()}; }),
            refusal(folder.path(), child));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_NO_THROW(FolderLock{folder.path()});
  close(ready[0]);
  close(ready[1]);
}

TEST(FolderLock, NeedsAFolder) {
  const auto path = std::filesystem::path("no") / "such";
  EXPECT_EQ(error_of([&] { FolderLock{path}; }),
            "no/such/.lock: cannot be created: No such file or directory; choose another folder");
}

}  // namespace
}  // namespace ampersand::tests
