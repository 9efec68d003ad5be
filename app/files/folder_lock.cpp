// flock on a file of the folder.
#include "app/files/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <string>
#include <system_error>

#include "amp/error.h"

namespace ampersand {
namespace {

// Who holds the lock, as " (PID)"; "" where the holder has not written it yet.
std::string holder(int descriptor) {
  std::array<char, 32> text{};
  const ssize_t got = ::pread(descriptor, text.data(), text.size(), 0);
  int process = 0;
  if (got > 0) std::from_chars(text.data(), text.data() + got, process);
  return process > 0 ? " (" + std::to_string(process) + ")" : "";
}

// The id only serves the message, so a disk too full for it does no harm.
void note_holder(int descriptor, const std::string& text) {
  if (::ftruncate(descriptor, 0) != 0) return;
  [[maybe_unused]] const ssize_t written = ::pwrite(descriptor, text.data(), text.size(), 0);
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder) {
  const auto path = folder / ".lock";
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    throw amp::IoError(path, "cannot be created: " + std::generic_category().message(errno) +
                                 "; choose another folder");
  }
  int status = 0;
  do {
    status = ::flock(descriptor, LOCK_EX | LOCK_NB);
  } while (status != 0 && errno == EINTR);
  const int reason = errno;
  if (status == 0) {
    note_holder(descriptor, std::to_string(::getpid()) + "\n");
    descriptor_ = descriptor;
    return;
  }
  const std::string process = holder(descriptor);
  ::close(descriptor);
  if (reason == EWOULDBLOCK) {
    throw amp::InvalidArgument("--output " + folder.string() +
                               " is being written by another process" + process +
                               "; choose another folder or wait");
  }
  throw amp::IoError(path, "cannot be locked: " + std::generic_category().message(reason) +
                               "; choose a folder on another file system");
}

FolderLock::~FolderLock() {
  note_holder(descriptor_, "");
  ::close(descriptor_);
}

}  // namespace ampersand
