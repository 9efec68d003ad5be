// One writer to a folder at a time.
#include "app/files/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "amp/error.h"

namespace ampersand {
namespace {

std::string holder(int descriptor) {
  char digits[32] = {};
  const auto count = ::pread(descriptor, digits, sizeof digits - 1, 0);
  return count > 0 ? std::string(digits, static_cast<std::size_t>(count)) : "unknown";
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder) {
  const auto file = folder / ".lock";
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0)
    throw amp::IoError(folder, "cannot be written (" + std::generic_category().message(errno) +
                                   "); choose another --output");
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const auto process = holder(descriptor_);
    ::close(descriptor_);
    throw amp::InvalidArgument("--output " + folder.string() +
                               " is being written by another process (" + process +
                               "); choose another folder, or wait");
  }
  const auto id = std::to_string(::getpid());
  if (::ftruncate(descriptor_, 0) != 0 || ::pwrite(descriptor_, id.data(), id.size(), 0) < 0) {
    // The number is for the message alone; the lock holds without it.
  }
}

FolderLock::~FolderLock() { ::close(descriptor_); }

}  // namespace ampersand
