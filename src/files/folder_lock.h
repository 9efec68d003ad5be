// One writer to a folder at a time.
#pragma once

#include <filesystem>

namespace amp::files {

// Locks the folder for its life. The kernel gives the lock back when the process ends, however it
// ends; nothing is left in the folder. Throws amp::InvalidArgument while another process, or
// another FolderLock, holds it, and amp::IoError for a folder that cannot be opened.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace amp::files
