// A plain and a gzip source of bytes.
#include "app/files/byte_source.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "app/files/files.h"

namespace ampersand {
namespace {

// The bytes of a regular file as they are.
class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(const std::filesystem::path& path) : path_(path) {
    check_file(path);
    errno = 0;
    file_.open(path, std::ios::binary);
    if (!file_) {
      throw amp::IoError(path, "cannot be opened: " + std::generic_category().message(errno));
    }
  }

  std::size_t read(std::span<std::uint8_t> to) override {
    errno = 0;
    file_.read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size()));
    if (file_.bad()) {
      throw amp::IoError(path_, "cannot be read: " + std::generic_category().message(errno));
    }
    const auto count = static_cast<std::size_t>(file_.gcount());
    position_ += count;
    return count;
  }

  void rewind() {
    file_.clear();
    file_.seekg(0);
    position_ = 0;
  }

  // The next byte, which stays unread; nothing at the end of the file.
  std::optional<std::uint8_t> peek() {
    const int next = file_.peek();
    if (next == std::ifstream::traits_type::eof()) return std::nullopt;
    return static_cast<std::uint8_t>(next);
  }

  std::uint64_t position() const { return position_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::ifstream file_;
  std::uint64_t position_ = 0;
};

bool begins_as_gzip(PlainSource& file) {
  std::array<std::uint8_t, 2> first{};
  const bool gzip = file.read(first) == 2 && first[0] == 0x1f && first[1] == 0x8b;
  file.rewind();
  return gzip;
}

void refuse_pointer(PlainSource& file) {
  std::array<std::uint8_t, 64> first{};
  const auto count = file.read(first);
  file.rewind();
  if (is_pointer({reinterpret_cast<const char*>(first.data()), count}))
    throw amp::IoError(
        file.path(),
        "is a Git LFS pointer that stands for the file; get the file itself with `git lfs pull`");
}

// The bytes that a gzip file's members unpack to, each member's CRC-32 and length verified. The end
// is reported only once the last member is complete and nothing follows it.
class GzipSource final : public ByteSource {
 public:
  explicit GzipSource(PlainSource file) : file_(std::move(file)), packed_(1 << 16) {
    // 16 + 15: a gzip wrapper, and only that, around a window of up to 2^15 bytes.
    if (inflateInit2(&stream_, 16 + 15) != Z_OK) throw std::bad_alloc();
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;  // zlib's state points back at stream_
  GzipSource& operator=(const GzipSource&) = delete;

  std::size_t read(std::span<std::uint8_t> to) override {
    std::size_t filled = 0;
    while (filled < to.size() && !ended_) filled += inflate_some(to.subspan(filled));
    return filled;
  }

 private:
  std::size_t inflate_some(std::span<std::uint8_t> to) {
    refill_if_empty();
    const std::size_t room = std::min(to.size(), std::size_t{1} << 30);  // avail_out has 32 bits
    stream_.next_out = to.data();
    stream_.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status == Z_STREAM_END) {
      begin_next_member();
    } else if (status == Z_BUF_ERROR) {  // no progress, though refilled: the file is at its end
      throw amp::IoError(file_.path(), "truncated gzip stream after " + position() +
                                           " bytes; fetch the file again");
    } else if (status == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (status != Z_OK) {
      throw_corrupt();
    }
    return room - stream_.avail_out;
  }

  void refill_if_empty() {
    if (stream_.avail_in > 0) return;
    stream_.next_in = packed_.data();
    stream_.avail_in = static_cast<uInt>(file_.read(packed_));
  }

  // Zero bytes after a member, to the end, are padding, as tar and block devices leave it.
  void skip_padding() {
    refill_if_empty();
    while (stream_.avail_in > 0 && *stream_.next_in == 0) {
      ++stream_.next_in;
      --stream_.avail_in;
      refill_if_empty();
    }
  }

  void begin_next_member() {
    refill_if_empty();
    const bool is_padded = stream_.avail_in > 0 && *stream_.next_in == 0;
    const auto end = position();
    skip_padding();
    if (stream_.avail_in == 0) {
      ended_ = true;
      return;
    }
    const auto second = stream_.avail_in > 1 ? std::optional(stream_.next_in[1]) : file_.peek();
    if (is_padded || stream_.next_in[0] != 0x1f || second != 0x8b) {
      throw amp::IoError(file_.path(), "gzip stream ends at byte " + end +
                                           " but the file goes on; remove what follows");
    }
    inflateReset(&stream_);
  }

  [[noreturn]] void throw_corrupt() const {
    const std::string_view reason = stream_.msg != nullptr ? stream_.msg : "preset dictionary";
    std::string message = "corrupt gzip stream near byte " + position() + " (";
    if (reason == "incorrect data check") {
      message = "gzip checksum (CRC-32) does not match at byte " + position() + " (";
    } else if (reason == "incorrect length check") {
      message = "gzip length does not match at byte " + position() + " (";
    }
    throw amp::IoError(file_.path(), message.append(reason) + "); fetch the file again");
  }

  // How many bytes of the packed file have been used.
  std::string position() const { return std::to_string(file_.position() - stream_.avail_in); }

  PlainSource file_;
  std::vector<std::uint8_t> packed_;
  z_stream stream_{};
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_bytes(const std::filesystem::path& path) {
  PlainSource file(path);
  refuse_pointer(file);
  if (begins_as_gzip(file)) return std::make_unique<GzipSource>(std::move(file));
  return std::make_unique<PlainSource>(std::move(file));
}

}  // namespace ampersand
