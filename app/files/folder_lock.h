// One writer per folder.
#pragma once

#include <filesystem>

namespace ampersand {

// Holds the file `.lock` in a folder locked for the object's life. The kernel lets go of it when
// the process ends, however it ends; the file itself stays.
class FolderLock {
 public:
  // Throws amp::InvalidArgument while another process, or another object, holds the folder;
  // amp::IoError if it cannot be locked (no such folder, no right to write there).
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace ampersand
