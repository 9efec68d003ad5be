// The bytes of a file in order, unpacked where the file is gzip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace ampersand {

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Fills `to` and returns how many bytes it wrote: fewer only at the end. A gzip file's checksums
  // have been verified once a call has returned fewer.
  // Throws amp::IoError when the file cannot be read, or is a truncated, corrupt or overlong gzip
  // stream.
  virtual std::size_t read(std::span<std::uint8_t> to) = 0;
};

// Opens a regular file, plain or gzip; its first two bytes decide which, not its name. A gzip file
// may have several members.
//
// Throws amp::IoError when there is no such regular file or it cannot be opened.
//
// Source: RFC 1952 (gzip).
std::unique_ptr<ByteSource> open_bytes(const std::filesystem::path& path);

}  // namespace ampersand
