// The numbers and texts in a pickle, each read only if it is all there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace amp::pickle {

class Cursor {
 public:
  Cursor(std::string_view bytes, const std::filesystem::path& path) : bytes_(bytes), path_(path) {}

  std::size_t at() const { return at_; }  // how many bytes have been read

  // Each throws amp::IoError where the bytes end before.
  std::string_view take(std::uint64_t count);
  std::string_view line();  // up to a newline, which is read too
  unsigned char byte();
  std::uint64_t little_endian(std::size_t count);  // at most 8 bytes
  double big_endian_double();
  // An int of `count` bytes, little-endian two's complement. Throws NotPlain beyond 8.
  std::int64_t integer(std::uint64_t count);

  // Throws amp::IoError: "the pickle in it" and what is wrong with it.
  [[noreturn]] void refuse(const std::string& what) const;

 private:
  std::string_view bytes_;
  const std::filesystem::path& path_;
  std::size_t at_ = 0;
};

}  // namespace amp::pickle
