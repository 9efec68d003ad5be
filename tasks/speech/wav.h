// Sound out of WAV files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace ampersand {

struct Sound {
  std::int64_t rate = 0;       // samples a second
  std::vector<float> samples;  // the mean of the channels; PCM from -1 to below 1
};

// Reads RIFF WAVE: PCM of 8, 16, 24 or 32 bits and floating point of 32 or 64, also as
// WAVE_FORMAT_EXTENSIBLE; 1 to 64 channels, 1,000 to 768,000 samples a second; also as RF64 or BW64,
// for more than 4 GiB. Chunks of other kinds are passed over.
//
// Throws amp::IoError, saying what is wrong, for a file that is missing or cannot be read, that is no
// WAV file or one of another format, whose sizes contradict each other or go beyond its end, that
// holds no samples, and for samples that are not finite.
//
// Source: IBM and Microsoft 1991, "Multimedia programming interface and data specifications 1.0",
// chapter 3; WAVEFORMATEXTENSIBLE in Microsoft's documentation; RF64 in EBU Tech 3306, BW64 in ITU-R
// BS.2088.
Sound read_wav(const std::filesystem::path& path);

// The same of a file's bytes; `path` is for messages.
Sound parse_wav(std::string_view bytes, const std::filesystem::path& path);

}  // namespace ampersand
