// The IDX reader: a parser that trusts no header.
#include "tasks/images/idx.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "amp/error.h"
#include "app/files/byte_source.h"

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
  const std::unique_ptr<ByteSource> source = open_bytes(path);
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
