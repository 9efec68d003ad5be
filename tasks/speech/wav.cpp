// A reader of RIFF WAVE that believes no size before it has checked it.
#include "tasks/speech/wav.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "amp/error.h"
#include "app/files/mapped_file.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "a WAV file's numbers are little-endian");

constexpr std::uint16_t kPcm = 1, kFloat = 3, kExtensible = 0xfffe;
constexpr std::size_t kChunkHeader = 8;
// The end of a format's GUID in WAVEFORMATEXTENSIBLE; its begin is the format's number.
constexpr std::array<unsigned char, 14> kGuidTail = {0, 0, 0,    0, 0x10, 0,    0x80,
                                                     0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};

struct Format {
  std::uint16_t kind = 0, channels = 0, frame_bytes = 0, bits = 0;
  std::uint32_t rate = 0;
};

template <typename Number>
Number number_at(std::string_view bytes, std::size_t offset) {
  Number number;
  std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

bool is_supported(const Format& format) {
  if (format.kind == kPcm)
    return format.bits == 8 || format.bits == 16 || format.bits == 24 || format.bits == 32;
  return format.kind == kFloat && (format.bits == 32 || format.bits == 64);
}

void check(const Format& format, const fs::path& path) {
  if (!is_supported(format))
    throw amp::IoError(path,
                       "must be PCM of 8, 16, 24 or 32 bits or floating point of 32 or 64, got "
                       "format " +
                           std::to_string(format.kind) + " of " + std::to_string(format.bits) +
                           " bits; convert it to 16-bit PCM");
  if (format.channels < 1 || format.channels > 64)
    throw amp::IoError(path, "must have 1 to 64 channels, got " + std::to_string(format.channels));
  if (format.rate < 1'000 || format.rate > 768'000)
    throw amp::IoError(
        path, "must have 1,000 to 768,000 samples a second, got " + std::to_string(format.rate));
  if (format.frame_bytes == format.channels * format.bits / 8) return;
  throw amp::IoError(path, "is damaged: its samples of " + std::to_string(format.channels) +
                               " channels of " + std::to_string(format.bits) +
                               " bits cannot take " + std::to_string(format.frame_bytes) +
                               " bytes");
}

Format parse_format(std::string_view chunk, const fs::path& path) {
  if (chunk.size() < 16)
    throw amp::IoError(path, "is damaged: its fmt chunk must have 16 bytes or more, got " +
                                 std::to_string(chunk.size()));
  Format format{.kind = number_at<std::uint16_t>(chunk, 0),
                .channels = number_at<std::uint16_t>(chunk, 2),
                .frame_bytes = number_at<std::uint16_t>(chunk, 12),
                .bits = number_at<std::uint16_t>(chunk, 14),
                .rate = number_at<std::uint32_t>(chunk, 4)};
  if (format.kind == kExtensible && chunk.size() >= 40 &&
      std::memcmp(chunk.data() + 26, kGuidTail.data(), kGuidTail.size()) == 0)
    format.kind = number_at<std::uint16_t>(chunk, 24);
  check(format, path);
  return format;
}

float sample_at(std::string_view data, std::size_t offset, const Format& format) {
  if (format.kind == kFloat) {
    return format.bits == 32 ? number_at<float>(data, offset)
                             : static_cast<float>(number_at<double>(data, offset));
  }
  switch (format.bits) {
    case 8:  // unsigned, as the only one
      return (static_cast<float>(number_at<std::uint8_t>(data, offset)) - 128) / 128;
    case 16:
      return static_cast<float>(number_at<std::int16_t>(data, offset)) / 32768;
    case 24: {
      const auto low = number_at<std::uint16_t>(data, offset);
      const auto high = number_at<std::int8_t>(data, offset + 2);
      return static_cast<float>(high * 65536 + low) / 8388608;
    }
    default:
      return static_cast<float>(static_cast<double>(number_at<std::int32_t>(data, offset)) /
                                2147483648.0);
  }
}

Sound decoded(std::string_view data, const Format& format, const fs::path& path) {
  const std::size_t count = data.size() / format.frame_bytes;
  if (count == 0) throw amp::IoError(path, "holds no samples; give a recording with some");
  Sound sound{.rate = format.rate, .samples = std::vector<float>(count)};
  const std::size_t sample_bytes = format.bits / 8;
  for (std::size_t i = 0; i < count; ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < format.channels; ++c)
      sum += sample_at(data, i * format.frame_bytes + c * sample_bytes, format);
    sound.samples[i] = static_cast<float>(sum / format.channels);
    if (!std::isfinite(sound.samples[i]))
      throw amp::IoError(path,
                         "sample " + std::to_string(i) + " must be finite; the file is damaged");
  }
  return sound;
}

// Who writes to a pipe does not know the sizes yet: 0, 0xFFFFFFFF, or near 2 GiB (sox, espeak-ng).
bool is_unknown_size(std::size_t size, std::string_view bytes) {
  constexpr std::size_t kNearTwoGiB = 0x7fff'0000;
  if (size >= kNearTwoGiB) return true;
  return size == 0 && number_at<std::uint32_t>(bytes, 4) + kChunkHeader != bytes.size();
}

bool is_long(std::string_view bytes) {
  return bytes.substr(0, 4) == "RF64" || bytes.substr(0, 4) == "BW64";
}

// Of the samples, out of the chunk ds64 of a long file, where 32 bits are too few; 0: it does not tell.
std::size_t long_data_size(std::string_view chunk, const fs::path& path) {
  if (chunk.size() < 24)
    throw amp::IoError(path, "is damaged: its ds64 chunk must have 24 bytes or more, got " +
                                 std::to_string(chunk.size()));
  const auto size = number_at<std::uint64_t>(chunk, 8);
  return ~size == 0 ? 0 : size;  // unknown
}

}  // namespace

Sound parse_wav(std::string_view bytes, const fs::path& path) {
  if (bytes.size() < 12 || (bytes.substr(0, 4) != "RIFF" && !is_long(bytes)) ||
      bytes.substr(8, 4) != "WAVE")
    throw amp::IoError(path, "is no WAV file: it must begin with RIFF and WAVE; convert it to WAV");
  Format format;
  std::size_t long_size = 0;
  for (std::size_t at = 12; bytes.size() - at >= kChunkHeader;) {
    const auto name = bytes.substr(at, 4);
    std::size_t size = number_at<std::uint32_t>(bytes, at + 4);
    at += kChunkHeader;
    const auto rest = bytes.size() - at;
    const bool is_told_elsewhere = name == "data" && size == 0xffff'ffff && long_size > 0;
    if (is_told_elsewhere) size = long_size;
    if (name == "data" && !is_told_elsewhere && (size == 0 || size > rest) &&
        is_unknown_size(size, bytes))
      size = rest;
    if (size > bytes.size() - at)
      throw amp::IoError(path, "is cut short: a chunk should have " + std::to_string(size) +
                                   " bytes, and " + std::to_string(bytes.size() - at) +
                                   " are there");
    if (name == "ds64" && is_long(bytes)) long_size = long_data_size(bytes.substr(at, size), path);
    if (name == "fmt ") format = parse_format(bytes.substr(at, size), path);
    if (name == "data") {
      if (format.rate == 0)
        throw amp::IoError(path, "is damaged: its samples come before their format");
      return decoded(bytes.substr(at, size), format, path);
    }
    at = std::min(at + size + size % 2, bytes.size());  // chunks begin at even places
  }
  throw amp::IoError(path, "holds no samples: it has no data chunk");
}

Sound read_wav(const fs::path& path) {
  const MappedFile file(path);
  return parse_wav(file.bytes(), path);
}

}  // namespace ampersand
