// The IDX reader: a plain or a gzip byte source, and a parser that trusts neither.
#include "app/data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "amp/error.h"

namespace ampersand {
namespace {

constexpr std::uint8_t kUnsignedByte = 0x08;
constexpr std::uint8_t kMaxDimensions = 4;
// The first allocation for values; each later one doubles it, so at most half of the memory taken
// is not yet backed by bytes of the file.
constexpr std::size_t kFirstBlock = std::size_t{1} << 16;

std::string hex(std::uint8_t byte) {
  constexpr std::string_view digits = "0123456789abcdef";
  return std::string("0x") + digits[byte >> 4] + digits[byte & 0xf];
}

// Bytes in order. `read` fills `to` and returns how many bytes it wrote: fewer only at the end.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual std::size_t read(std::span<std::uint8_t> to) = 0;
};

// The bytes of a regular file as they are.
class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(const std::filesystem::path& path) : path_(path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (status.type() == std::filesystem::file_type::not_found) {
      throw amp::IoError(path, "no such file");
    }
    if (error) throw amp::IoError(path, "cannot be examined: " + error.message());
    if (!std::filesystem::is_regular_file(status)) throw amp::IoError(path, "not a regular file");
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

  void begin_next_member() {
    refill_if_empty();
    if (stream_.avail_in == 0) {
      ended_ = true;
      return;
    }
    const auto second = stream_.avail_in > 1 ? std::optional(stream_.next_in[1]) : file_.peek();
    if (stream_.next_in[0] != 0x1f || second != 0x8b) {
      throw amp::IoError(file_.path(), "gzip stream ends at byte " + position() +
                                           " but the file goes on; remove what follows, or fetch "
                                           "the file again");
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

std::unique_ptr<ByteSource> open_source(const std::filesystem::path& path) {
  PlainSource file(path);
  if (begins_as_gzip(file)) return std::make_unique<GzipSource>(std::move(file));
  return std::make_unique<PlainSource>(std::move(file));
}

// Reads the header: two zero bytes, the element type, the number of dimensions, and one big-endian
// 32-bit size per dimension.
std::vector<std::uint32_t> read_shape(ByteSource& source, const std::filesystem::path& path) {
  std::array<std::uint8_t, 4> magic{};
  const std::size_t held = source.read(magic);
  if (held < magic.size()) {
    throw amp::IoError(path, "an IDX file begins with a header of at least 8 bytes, but it holds " +
                                 std::to_string(held) + "; fetch the file again");
  }
  if (magic[0] != 0 || magic[1] != 0) {
    throw amp::IoError(path, "not an IDX file: its first two bytes must be zero, got " +
                                 hex(magic[0]) + " " + hex(magic[1]) + "; give an IDX file");
  }
  if (magic[2] != kUnsignedByte) {
    throw amp::IoError(path, "IDX element type must be 0x08 (unsigned byte), got " + hex(magic[2]) +
                                 "; convert the file");
  }
  if (magic[3] < 1 || magic[3] > kMaxDimensions) {
    throw amp::IoError(path, "IDX number of dimensions must be 1 to 4, got " +
                                 std::to_string(magic[3]) + "; convert the file");
  }
  std::vector<std::uint32_t> shape;
  for (int dimension = 0; dimension < magic[3]; ++dimension) {
    std::array<std::uint8_t, 4> size{};
    if (source.read(size) < size.size()) {
      throw amp::IoError(path, "ends inside the sizes of its " + std::to_string(magic[3]) +
                                   " dimensions; fetch the file again");
    }
    shape.push_back(std::uint32_t{size[0]} << 24 | std::uint32_t{size[1]} << 16 |
                    std::uint32_t{size[2]} << 8 | std::uint32_t{size[3]});
  }
  return shape;
}

std::string shape_name(std::span<const std::uint32_t> shape) {
  std::string name;
  for (const std::uint32_t size : shape) {
    name += (name.empty() ? "" : " x ") + std::to_string(size);
  }
  return name;
}

// The product of the sizes; throws where no file could hold that many.
std::size_t promised_values(std::span<const std::uint32_t> shape,
                            const std::filesystem::path& path) {
  if (std::ranges::find(shape, 0U) != shape.end()) return 0;
  constexpr std::size_t limit = std::numeric_limits<std::ptrdiff_t>::max();
  std::size_t product = 1;
  for (const std::uint32_t size : shape) {
    if (product > limit / size) {
      throw amp::IoError(path, "header promises " + shape_name(shape) +
                                   " values, more than any file holds; fetch the file again");
    }
    product *= size;
  }
  return product;
}

std::vector<std::uint8_t> read_values(ByteSource& source, std::size_t promised) {
  std::vector<std::uint8_t> values;
  std::size_t filled = 0;
  while (filled == values.size() && filled < promised) {
    values.resize(std::min(promised, std::max(kFirstBlock, 2 * filled)));
    filled += source.read(std::span(values).subspan(filled));
  }
  values.resize(filled);
  return values;
}

}  // namespace

IdxArray read_idx(const std::filesystem::path& path) {
  const std::unique_ptr<ByteSource> source = open_source(path);
  IdxArray array;
  array.shape = read_shape(*source, path);
  const std::size_t promised = promised_values(array.shape, path);
  array.values = read_values(*source, promised);
  if (array.values.size() < promised) {
    throw amp::IoError(path, "header promises " + shape_name(array.shape) + " = " +
                                 std::to_string(promised) + " values, but the file holds " +
                                 std::to_string(array.values.size()) + "; fetch the file again");
  }
  // Asking for one byte more also takes a gzip stream to its end, where its checksum is.
  std::array<std::uint8_t, 1> extra{};
  if (source->read(extra) != 0) {
    throw amp::IoError(path, "header promises " + shape_name(array.shape) + " = " +
                                 std::to_string(promised) +
                                 " values, but the file holds more; fetch the file again");
  }
  return array;
}

}  // namespace ampersand
