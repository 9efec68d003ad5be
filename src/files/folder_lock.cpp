// One writer to a folder at a time.
#include "src/files/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "amp/error.h"

namespace amp::files {

FolderLock::FolderLock(const std::filesystem::path& folder)
    : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0)
    throw amp::IoError(folder, "cannot be opened (" + std::generic_category().message(errno) +
                                   "); choose another --output");
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  ::close(descriptor_);
  throw amp::InvalidArgument(
      "--output " + folder.string() +
      " is being written by another process; choose another folder, or wait");
}

FolderLock::~FolderLock() { ::close(descriptor_); }

}  // namespace amp::files
