// One writer to a folder at a time.
#pragma once

#include <filesystem>

namespace ampersand {

// Holds a lock on the folder for its life, by a file `.lock` in it. The kernel gives the lock back
// when the process ends, however it ends. Throws amp::InvalidArgument while another process, or
// another FolderLock, holds it, and amp::IoError for a folder that cannot be written.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace ampersand
