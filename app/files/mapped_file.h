// Files as memory: mapped for reading, and temporary ones that vanish with their last user.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>
#include <vector>

#include "app/files/mappings.h"

namespace ampersand {

// The bytes of a regular file, mapped: pages are read when they are touched and given up when
// memory is short. Where the file is shortened meanwhile, what is gone reads as zeros, and check_mappings()
// throws.
class MappedFile {
 public:
  // Throws amp::IoError for what is no regular file or cannot be read.
  explicit MappedFile(const std::filesystem::path& path);
  // The file behind an open descriptor, which may be closed afterwards; `path` is for messages.
  MappedFile(int descriptor, const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::string_view bytes() const { return bytes_; }

 private:
  MappedFile(std::string_view bytes, const std::filesystem::path& path);

  std::string_view bytes_;
  Mapping* mapping_ = nullptr;  // null: nothing is mapped
};

// A file without a name in TMPDIR, or where that is unset in /var/tmp: what is written is gone with
// the process.
class TemporaryFile {
 public:
  TemporaryFile();  // throws amp::IoError, as write and map do
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(const void* bytes, std::size_t count);  // buffered
  MappedFile map();                                  // what was written; the last call

 private:
  void flush();

  std::filesystem::path folder_;
  int descriptor_;
  std::vector<char> buffer_;
};

}  // namespace ampersand
