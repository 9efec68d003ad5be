// WAV files made by hand.
#pragma once

#include <cstdint>
#include <string>

#include "tests/support/temporary_folder.h"

namespace ampersand::tests {

inline std::string little_endian(std::uint64_t number, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(number >> (8 * i) & 0xff);
  return text;
}

inline std::string wav_chunk(const std::string& name, const std::string& body) {
  return name + little_endian(body.size(), 4) + body + std::string(body.size() % 2, '\0');
}

// kind: 1 is PCM, 3 floating point.
inline std::string wav_format(int kind, int channels, int rate, int bits) {
  const int frame = channels * bits / 8;
  return little_endian(static_cast<std::uint64_t>(kind), 2) +
         little_endian(static_cast<std::uint64_t>(channels), 2) +
         little_endian(static_cast<std::uint64_t>(rate), 4) +
         little_endian(static_cast<std::uint64_t>(rate * frame), 4) +
         little_endian(static_cast<std::uint64_t>(frame), 2) +
         little_endian(static_cast<std::uint64_t>(bits), 2);
}

inline std::string riff(const std::string& chunks) { return wav_chunk("RIFF", "WAVE" + chunks); }

inline std::string wav(const std::string& format, const std::string& data) {
  return riff(wav_chunk("fmt ", format) + wav_chunk("data", data));
}

// 16-bit mono at 8,000 samples a second: a tone that rises, so that no two frames are the same.
inline std::string tone(double seconds, int step = 7) {
  std::string data;
  unsigned phase = 0;
  const int count = static_cast<int>(8000 * seconds);
  for (int i = 0; i < count; ++i) {
    phase += static_cast<unsigned>(1000 + i * step / 8);
    data += little_endian((phase & 0xffff) / 4, 2);
  }
  return wav(wav_format(1, 1, 8000, 16), data);
}

}  // namespace ampersand::tests
