// Event files: three protocol buffer messages by hand, and TFRecord framing.
#include "app/results/event_file.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>

#include "amp/error.h"
#include "app/files/own_files.h"

namespace ampersand {
namespace {

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    table[byte] = crc;
  }
  return table;
}

template <class Integer>
std::string little_endian(Integer value) {
  std::string bytes;
  for (std::size_t byte = 0; byte < sizeof value; ++byte) {
    bytes += static_cast<char>(value >> (8 * byte) & 0xff);
  }
  return bytes;
}

// The fields of a protocol buffer message: its number and kind, then the value.
enum class Kind : unsigned { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

std::string key(unsigned number, Kind kind) {
  return varint(number << 3 | static_cast<unsigned>(kind));
}

std::string field(unsigned number, double value) {
  return key(number, Kind::fixed64) + little_endian(std::bit_cast<std::uint64_t>(value));
}

std::string field(unsigned number, float value) {
  return key(number, Kind::fixed32) + little_endian(std::bit_cast<std::uint32_t>(value));
}

std::string field(unsigned number, std::int64_t value) {
  return key(number, Kind::varint) + varint(static_cast<std::uint64_t>(value));
}

std::string field(unsigned number, std::string_view bytes) {
  return (key(number, Kind::bytes) + varint(bytes.size())).append(bytes);
}

std::string host() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  std::string text = name.data();
  for (char& letter : text) {
    if (letter == '/') letter = '-';
  }
  return text;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr auto table = crc_table();
  std::uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  }
  return ~crc;
}

std::uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8;
}

EventFile::EventFile(const std::filesystem::path& folder, double wall_time)
    : path_(folder /
            ("events.out.tfevents." + std::to_string(static_cast<std::int64_t>(wall_time)) + "." +
             host() + "." + std::to_string(::getpid()))) {
  note_own_file(path_);
  errno = 0;
  stream_.open(path_, std::ios::binary | std::ios::trunc);
  if (!stream_)
    throw amp::IoError(path_, "cannot be written (" + std::generic_category().message(errno) +
                                  "); choose another --output");
  write(field(1, wall_time) + field(3, std::string_view("brain.Event:2")));
}

void EventFile::scalar(std::string_view tag, std::int64_t step, float value, double wall_time) {
  const std::string point = field(1, tag) + field(2, value);
  const std::string summary = field(1, std::string_view(point));
  write(field(1, wall_time) + field(2, step) + field(5, std::string_view(summary)));
}

void EventFile::write(const std::string& event) {
  const std::string length = little_endian(std::uint64_t{event.size()});
  errno = 0;
  stream_ << length << little_endian(masked_crc32c(length)) << event
          << little_endian(masked_crc32c(event)) << std::flush;
  if (!stream_)
    throw amp::IoError(path_, "cannot be written (" + std::generic_category().message(errno) + ")");
}

}  // namespace ampersand
