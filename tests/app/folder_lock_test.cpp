// One writer to a folder at a time, also across processes.
#include "src/files/folder_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "app/files/write_file.h"
#include "tests/app/errors.h"
#include "tests/tasks/images/idx_files.h"

namespace ampersand::tests::folder_lock_test {
namespace {

using amp::files::FolderLock;

TEST(FolderLock, IsHeldForItsLife) {
  const TemporaryFolder folder;
  std::optional<FolderLock> first(std::in_place, folder.path());
  const auto message = error_of<amp::InvalidArgument>([&] { FolderLock second(folder.path()); });
  EXPECT_EQ(message, "--output " + folder.path().string() +
                         " is being written by another process; choose another folder, or "
                         "wait");
  first.reset();
  EXPECT_NO_THROW(FolderLock(folder.path()));
}

TEST(FolderLock, EndsWithItsProcess) {
  const TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const auto child = fork();
  if (child == 0) {
    FolderLock lock(folder.path());
    if (write(ready[1], "x", 1) == 1) pause();
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_THROW(FolderLock(folder.path()), amp::InvalidArgument);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_NO_THROW(FolderLock(folder.path()));
  close(ready[0]);
  close(ready[1]);
}

TEST(FolderLock, NeedsAFolder) { EXPECT_THROW(FolderLock("/nowhere/at/all"), amp::IoError); }

TEST(WriteFile, LeavesTheOldFileWhenItFails) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "kept";
  write_file(file, "first");
  write_file(file, "second");
  std::string text;
  std::getline(std::ifstream(file), text);
  EXPECT_EQ(text, "second");
  EXPECT_THROW(write_file(folder.path() / "none" / "file", "x"), amp::IoError);
  EXPECT_THROW(write_file(folder.path(), "a folder is there"), amp::IoError);
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path()))
    ++count;
  EXPECT_EQ(count, 1U);  // no temporary file is left
}

}  // namespace
}  // namespace ampersand::tests::folder_lock_test
