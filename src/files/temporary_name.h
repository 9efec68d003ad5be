// Names of what is not complete yet: `.NAME.tmp-PID` in the folder where NAME will stand, so that a
// rename completes it, and so that anybody can tell when its writer is gone.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

namespace amp::files {

// `.NAME.tmp-PID` with this process's id.
std::string temporary_name(const std::string& name);

// Removes what dead processes left in `folder` under `.NAME.tmp-PID`, where NAME.tmp- begins with
// `prefix`; and this process's own, for there is one writer per name at a time. What cannot be
// removed stays.
//
// A process in another container or on another machine is taken for dead: two that write to one
// folder need a lock on it.
void remove_leftovers(const std::filesystem::path& folder, const std::string& prefix);

// A file or folder that is removed at the end of the scope, if it is still there.
class TemporaryPath {
 public:
  explicit TemporaryPath(std::filesystem::path path) : path_(std::move(path)) {}
  ~TemporaryPath();
  TemporaryPath(const TemporaryPath&) = delete;
  TemporaryPath& operator=(const TemporaryPath&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace amp::files
