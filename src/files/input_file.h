// Files read with every read checked: ones that nobody vouches for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace amp::files {

// A regular file, open for reading. Throws amp::IoError when it is none or cannot be read.
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }  // when it was opened

  // Fills `to` with the `count` bytes from `offset` on. Throws amp::IoError where the file ends
  // before them.
  void read(std::uint64_t offset, void* to, std::size_t count) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace amp::files
