// Files written so that a full disk is noticed and a power loss survived.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <vector>

namespace amp::files {

// Takes the next bytes of what is being written. Throws amp::IoError when they cannot be taken.
using Sink = std::function<void(const void* bytes, std::size_t count)>;

// A new file; every write is checked. Messages name `reported`, the path the user knows, where the
// bytes go to a temporary one first.
class OutputFile {
 public:
  // Creates or empties `path`. Throws amp::IoError, here and below.
  OutputFile(std::filesystem::path path, std::filesystem::path reported);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* bytes, std::size_t count);

  // Waits until all bytes are on the disk, and closes. A file destroyed without it is incomplete.
  void finish();

 private:
  void write_out(const char* bytes, std::size_t count);

  std::filesystem::path path_;
  std::filesystem::path reported_;
  std::vector<char> buffer_;
  int descriptor_ = -1;
};

// What a chain of links leads to, whether it is there or not: a link is written through.
std::filesystem::path behind_links(std::filesystem::path path);

// The number of one of this process's descriptors, which /dev/stdout, /dev/fd/N and the like name; -1 for every
// other path.
int descriptor_of(const std::filesystem::path& path);

// Waits until the names in `folder` are on the disk: before that a power loss may undo a rename.
// Throws amp::IoError.
void sync_folder(const std::filesystem::path& folder);

// Renames, replacing a file or an empty folder. Throws amp::IoError.
void move_into_place(const std::filesystem::path& from, const std::filesystem::path& to);

// Writes a file whole or not at all: a temporary file beside it, fsync, rename, fsync of the
// folder. One call per path at a time. When `write` or the disk fails, the temporary file is
// removed and the file that was there is untouched.
//
// Throws amp::IoError, and whatever `write` throws.
void write_file_atomically(const std::filesystem::path& path,
                           const std::function<void(const Sink&)>& write);

}  // namespace amp::files
