// TensorBoard event files.
#include "app/results/event_file.h"

#include <unistd.h>

#include <array>
#include <cstring>

#include "amp/error.h"

namespace ampersand {
namespace {

std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit)
      value = (value >> 1) ^ ((value & 1u) != 0 ? 0x82F63B78u : 0u);  // the polynomial, reflected
    table[i] = value;
  }
  return table;
}

// A checksum of data that holds checksums is weak; so those are rotated and shifted.
std::uint32_t masked_crc(std::string_view bytes) {
  const auto crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

// x86 is little-endian, as the format is.
template <typename Number>
std::string raw(Number number) {
  std::string bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

// Protobuf's wire format: a field is its number and kind, then its value.
enum class Wire : std::uint64_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7F) | 0x80);
  return bytes + static_cast<char>(value);
}
std::string key(std::uint64_t field, Wire wire) {
  return varint(field << 3 | static_cast<std::uint64_t>(wire));
}
std::string text(std::uint64_t field, const std::string& value) {
  return key(field, Wire::bytes) + varint(value.size()) + value;
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static const auto table = crc_table();
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes)
    crc = table[(crc ^ static_cast<unsigned char>(byte)) & 0xFFu] ^ (crc >> 8);
  return ~crc;
}

EventFile::EventFile(const std::filesystem::path& folder, double wall_time)
    : path_(folder /
            ("events.out.tfevents." + std::to_string(static_cast<std::int64_t>(wall_time)) + "." +
             host_name() + "." + std::to_string(getpid()))),
      stream_(path_, std::ios::binary | std::ios::trunc) {
  write(key(1, Wire::fixed64) + raw(wall_time) + text(3, "brain.Event:2"));
}

void EventFile::scalar(const std::string& tag, std::int64_t step, float value, double wall_time) {
  const auto entry = text(1, tag) + key(2, Wire::fixed32) + raw(value);
  write(key(1, Wire::fixed64) + raw(wall_time) + key(2, Wire::varint) +
        varint(static_cast<std::uint64_t>(step)) + text(5, text(1, entry)));
}

void EventFile::write(const std::string& event) {
  const auto length = raw(static_cast<std::uint64_t>(event.size()));
  stream_ << length << raw(masked_crc(length)) << event << raw(masked_crc(event));
  stream_.flush();
  if (!stream_) throw amp::IoError(path_, "cannot be written; is the disk full?");
}

}  // namespace ampersand
