// Digits spoken by a synthesiser: a small set of recordings that needs no download.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace ampersand {

inline constexpr std::int64_t kSpokenDigits = 600;  // recordings, of some 40 MB

// What a recording is to be: 1 to 5 digits, in one of several voices, 120 to 220 words a minute.
struct DigitUtterance {
  std::string digits;  // "421", spoken one by one
  std::string voice;   // of espeak-ng: "en-us+f2"
  int speed = 0;       // words a minute
  int pitch = 0;       // 20 to 79 of espeak-ng's 0 to 99
};

// The i-th, the same everywhere.
DigitUtterance digit_utterance(std::int64_t i);

// The folder with the recordings and their transcripts.tsv, spoken-digits in the user's cache folder.
// Where it is not there, the command espeak-ng (Debian's package espeak-ng) makes it, in some seconds,
// whole or not at all. Throws amp::IoError without the command, and where the folder cannot be written.
std::filesystem::path make_spoken_digits();

}  // namespace ampersand
