// WAV files of every format, and damaged ones.
#include "tasks/speech/wav.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/app/errors.h"
#include "tests/tasks/speech/wav_files.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::wav_test {
namespace {

using Samples = std::vector<float>;

Samples samples_of(int kind, int channels, int bits, const std::string& data) {
  const auto sound = parse_wav(wav(wav_format(kind, channels, 16000, bits), data), "x.wav");
  EXPECT_EQ(sound.rate, 16000);
  return sound.samples;
}

std::string refusal(const std::string& bytes) {
  return error_of([&] { parse_wav(bytes, "x.wav"); });
}

TEST(Wav, PcmIsFromMinusOneToBelowOne) {
  EXPECT_EQ(samples_of(1, 1, 8, std::string("\x00\x80\xc0\xff", 4)),
            (Samples{-1, 0, 0.5, 127.0F / 128}));
  EXPECT_EQ(samples_of(1, 1, 16, little_endian(0x8000, 2) + little_endian(0x4000, 2)),
            (Samples{-1, 0.5}));
  EXPECT_EQ(
      samples_of(1, 1, 24,
                 little_endian(0x800000, 3) + little_endian(0xe00000, 3) + little_endian(1, 3)),
      (Samples{-1, -0.25, 1.0F / 8388608}));
  EXPECT_EQ(samples_of(1, 1, 32, little_endian(0x80000000, 4) + little_endian(0x20000000, 4)),
            (Samples{-1, 0.25}));
}

TEST(Wav, FloatingPointIsAsItIs) {
  const auto two = little_endian(std::bit_cast<std::uint32_t>(2.0F), 4);
  EXPECT_EQ(samples_of(3, 1, 32, two), Samples{2});
  const auto third = little_endian(std::bit_cast<std::uint64_t>(1.0 / 3), 8);
  EXPECT_EQ(samples_of(3, 1, 64, third), Samples{1.0F / 3});
}

TEST(Wav, ChannelsAreAveraged) {
  EXPECT_EQ(samples_of(1, 2, 16,
                       little_endian(0x4000, 2) + little_endian(0, 2) + little_endian(0x8000, 2) +
                           little_endian(0x8000, 2)),
            (Samples{0.25, -1}));
}

TEST(Wav, ExtensibleNamesItsFormatInAGuid) {
  auto format = wav_format(0xfffe, 1, 8000, 16) + little_endian(22, 2) + little_endian(16, 2) +
                little_endian(4, 4) + little_endian(1, 2);
  format += std::string("\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71", 14);
  EXPECT_EQ(parse_wav(wav(format, little_endian(0x4000, 2)), "x.wav").samples, Samples{0.5});
  format.back() = 'x';
  EXPECT_EQ(refusal(wav(format, little_endian(0x4000, 2))),
            "x.wav: must be PCM of 8, 16, 24 or 32 bits or floating point of 32 or 64, got format "
            "65534 of 16 bits; convert it to 16-bit PCM");
}

TEST(Wav, OtherChunksArePassedOver) {
  const auto bytes = riff(wav_chunk("LIST", "odd") + wav_chunk("fmt ", wav_format(1, 1, 8000, 8)) +
                          wav_chunk("fact", "1234") + wav_chunk("data", "\xc0"));
  EXPECT_EQ(parse_wav(bytes, "x.wav").samples, Samples{0.5});
}

TEST(Wav, WhatIsNoWavIsRefused) {
  const std::string none =
      "x.wav: is no WAV file: it must begin with RIFF and WAVE; convert it to WAV";
  EXPECT_EQ(refusal(""), none);
  EXPECT_EQ(refusal("RIFF"), none);
  EXPECT_EQ(refusal("fLaC and many bytes more"), none);
  EXPECT_EQ(refusal(wav_chunk("RIFF", "AVI and more")), none);
}

TEST(Wav, ContradictionsAreRefused) {
  const auto pcm = wav_format(1, 1, 8000, 16);
  EXPECT_EQ(refusal(riff("")), "x.wav: holds no samples: it has no data chunk");
  EXPECT_EQ(refusal(wav(pcm, "")), "x.wav: holds no samples; give a recording with some");
  EXPECT_EQ(refusal(wav(pcm, "1")), "x.wav: holds no samples; give a recording with some");
  EXPECT_EQ(refusal(riff(wav_chunk("data", "12") + wav_chunk("fmt ", pcm))),
            "x.wav: is damaged: its samples come before their format");
  EXPECT_EQ(refusal(wav("short", "12")),
            "x.wav: is damaged: its fmt chunk must have 16 bytes or more, got 5");
  EXPECT_EQ(refusal(wav(wav_format(1, 0, 8000, 16), "12")),
            "x.wav: must have 1 to 64 channels, got 0");
  EXPECT_EQ(refusal(wav(wav_format(1, 1, 0, 16), "12")),
            "x.wav: must have 1,000 to 768,000 samples a second, got 0");
  auto wrong = pcm;
  wrong[12] = 3;
  EXPECT_EQ(refusal(wav(wrong, "123")),
            "x.wav: is damaged: its samples of 1 channels of 16 bits cannot take 3 bytes");
  EXPECT_EQ(
      refusal(wav(wav_format(2, 1, 8000, 4), "12")),
      "x.wav: must be PCM of 8, 16, 24 or 32 bits or floating point of 32 or 64, got format 2 "
      "of 4 bits; convert it to 16-bit PCM");
  const auto nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(refusal(wav(wav_format(3, 1, 8000, 32),
                        little_endian(0, 4) + little_endian(std::bit_cast<std::uint32_t>(nan), 4))),
            "x.wav: sample 1 must be finite; the file is damaged");
}

// Wherever a file is cut, it is refused, and nothing behind its end is read (the sanitizers look).
TEST(Wav, EveryCutIsRefused) {
  const auto whole = wav(wav_format(1, 1, 8000, 16), "12345678");
  EXPECT_EQ(parse_wav(whole, "x.wav").samples.size(), 4u);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::vector<char> exact(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW(parse_wav({exact.data(), exact.size()}, "x.wav"), amp::IoError) << size;
  }
}

TEST(Wav, SizesBeyondTheEndAreRefused) {
  auto bytes = wav(wav_format(1, 1, 8000, 16), "12345678");
  auto huge = bytes;
  huge.replace(16, 4, "\xff\xff\xff\xff");  // the size of fmt
  EXPECT_NE(refusal(huge).find("x.wav: is cut short: a chunk should have 4294967295 bytes"),
            std::string::npos);
  bytes.replace(40, 4, little_endian(9, 4));  // of data, which a writer knew
  EXPECT_NE(refusal(bytes).find("x.wav: is cut short: a chunk should have 9 bytes"),
            std::string::npos);
}

// As ffmpeg, sox, espeak-ng and others leave the sizes when they write to a pipe.
TEST(Wav, ASizeThatTheWriterDidNotKnowGoesToTheEnd) {
  const auto whole = wav(wav_format(1, 1, 8000, 16), "12345678");
  const auto samples = parse_wav(whole, "x.wav").samples;
  for (const std::uint64_t size : {0xffffffffu, 0x7ffff000u, 0x7fffffffu, 0x80000000u, 0u}) {
    for (const std::uint64_t outer : {0xffffffffu, 0x7ffff024u, 0u, 36u}) {
      auto streamed = whole;
      streamed.replace(4, 4, little_endian(outer, 4));
      streamed.replace(40, 4, little_endian(size, 4));
      EXPECT_EQ(parse_wav(streamed, "x.wav").samples, samples) << size << " " << outer;
      EXPECT_EQ(parse_wav(streamed + "9", "x.wav").samples, samples) << "half a sample";
    }
  }
  EXPECT_NE(refusal(wav(wav_format(1, 1, 8000, 16), "")).find("holds no samples"),
            std::string::npos);
}

// RF64 has the sizes in a chunk ds64, in 64 bits.
TEST(Wav, LongFilesAreRead) {
  const auto long_file = [](std::uint64_t told, const std::string& data,
                            const char* name = "RF64") {
    const auto sizes =
        little_endian(0, 8) + little_endian(told, 8) + little_endian(4, 8) + little_endian(0, 4);
    return name + little_endian(0xffffffff, 4) + "WAVE" + wav_chunk("ds64", sizes) +
           wav_chunk("fmt ", wav_format(1, 1, 8000, 16)) + "data" + little_endian(0xffffffff, 4) +
           data;
  };
  const auto samples = parse_wav(wav(wav_format(1, 1, 8000, 16), "12345678"), "x.wav").samples;
  EXPECT_EQ(parse_wav(long_file(8, "12345678"), "x.wav").samples, samples);
  EXPECT_EQ(parse_wav(long_file(8, "12345678", "BW64"), "x.wav").samples, samples);
  EXPECT_EQ(parse_wav(long_file(8, "12345678LIST"), "x.wav").samples, samples);  // what follows
  EXPECT_EQ(parse_wav(long_file(0, "12345678"), "x.wav").samples, samples);      // not known
  EXPECT_EQ(parse_wav(long_file(~std::uint64_t{0}, "12345678"), "x.wav").samples, samples);
  EXPECT_EQ(refusal(long_file(5'000'000'000, "12345678")),
            "x.wav: is cut short: a chunk should have 5000000000 bytes, and 8 are there");
  EXPECT_EQ(refusal("RF64" + little_endian(0xffffffff, 4) + "WAVE" + wav_chunk("ds64", "1234")),
            "x.wav: is damaged: its ds64 chunk must have 24 bytes or more, got 4");
}

TEST(Wav, IsReadFromAFile) {
  const TemporaryFolder folder;
  folder.write("x.wav", bytes_of(wav(wav_format(1, 1, 8000, 16), little_endian(0x4000, 2))));
  EXPECT_EQ(read_wav(folder.path() / "x.wav").samples, Samples{0.5});
  EXPECT_THROW(read_wav(folder.path() / "y.wav"), amp::IoError);
}

}  // namespace
}  // namespace ampersand::tests::wav_test
