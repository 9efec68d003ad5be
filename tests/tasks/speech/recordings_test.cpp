// Folders of recordings, alphabets, and what the spoken digits are to be.
#include "tasks/speech/recordings.h"

#include <gtest/gtest.h>

#include <set>

#include "tasks/speech/alphabet.h"
#include "tasks/speech/spoken_digits.h"
#include "tests/app/errors.h"
#include "tests/tasks/images/idx_files.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::recordings_test {
namespace {

class Recordings : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    folder_.write(name, bytes_of(text));
  }
  std::string where(const std::string& name) const { return (folder_.path() / name).string(); }
  std::vector<Recording> found() const { return find_recordings(folder_.path().string()); }
  std::string refusal() const {
    return error_of([&] { found(); });
  }

  TemporaryFolder folder_;
};

TEST_F(Recordings, LieBesideTheirTranscripts) {
  write("b.wav", "");
  write("b.txt", "  two\n\t words \n");
  write("a.wav", "");
  write("a.txt", "\xC3\xA9t\xC3\xA9");
  write("notes.md", "not a recording");
  const auto recordings = found();
  ASSERT_EQ(recordings.size(), 2u);
  EXPECT_EQ(recordings[0].sound, where("a.wav"));
  EXPECT_EQ(recordings[0].text, "\xC3\xA9t\xC3\xA9");
  EXPECT_EQ(recordings[1].text, "two words");
  EXPECT_EQ(recordings[1].transcript, where("b.txt"));
  EXPECT_TRUE(names_recordings(folder_.path().string()));
}

TEST_F(Recordings, HaveExtensionsInAnyCaseAndMarksBeforeTheirText) {
  write("a.WAV", "");
  write("a.Txt",
        "\xef\xbb\xbf"
        "one");
  write("b.wav", "");
  write("b.TXT", "two");
  write("notes.md", "");
  write("c.mp3", "");
  ::testing::internal::CaptureStderr();
  const auto recordings = found();
  const auto line = ::testing::internal::GetCapturedStderr();
  ASSERT_EQ(recordings.size(), 2u);
  EXPECT_EQ(recordings[0].sound, where("a.WAV"));
  EXPECT_EQ(recordings[0].text, "one");
  EXPECT_EQ(recordings[1].text, "two");
  EXPECT_EQ(line, "ampersand: " + folder_.path().string() +
                      ": passed over 2 files that are not of the data set, such as c.mp3\n");
  EXPECT_TRUE(names_recordings(folder_.path().string()));
}

TEST_F(Recordings, AListMayBeginWithAMark) {
  write("x.wav", "");
  write("Transcripts.TSV", "\xef\xbb\xbfx.wav\tone\n");
  EXPECT_EQ(found().at(0).sound, where("x.wav"));
}

TEST_F(Recordings, AreThoseOfAList) {
  write("x.wav", "");
  write("y.wav", "");
  write("other.wav", "");
  write("transcripts.tsv", "y.wav\tone \r\nx.wav\ttwo");
  const auto recordings = found();
  ASSERT_EQ(recordings.size(), 2u);
  EXPECT_EQ(recordings[0].sound, where("y.wav"));
  EXPECT_EQ(recordings[0].text, "one");
  EXPECT_EQ(recordings[1].text, "two");
}

TEST_F(Recordings, NeedTranscripts) {
  EXPECT_EQ(refusal(), folder_.path().string() +
                           ": holds no recordings; give --data a folder of NAME.wav with NAME.txt, "
                           "or spoken-digits");
  EXPECT_FALSE(names_recordings(folder_.path().string()));
  write("a.wav", "");
  EXPECT_EQ(refusal(), where("a.txt") +
                           ": no such transcript of a.wav; write what is said in it, or "
                           "list it in transcripts.tsv");
  write("a.txt", " \n");
  EXPECT_EQ(refusal(), where("a.txt") + ": the transcript must not be empty; write what is said");
  write("a.txt", "caf\xE9");
  EXPECT_NE(refusal().find(where("a.txt") + ": "), std::string::npos);
}

TEST_F(Recordings, OfAListMustBeThere) {
  write("transcripts.tsv", "x.wav\tone");
  EXPECT_EQ(refusal(),
            where("x.wav") + ": no such recording, which line 1 of transcripts.tsv lists");
  write("x.wav", "");
  write("transcripts.tsv", "x.wav\tone\nx.wav");
  EXPECT_EQ(refusal(),
            where("transcripts.tsv") + ": line 2: must be \"NAME.wav<TAB>text\" with one tab");
  write("transcripts.tsv", "x.wav\t ");
  EXPECT_EQ(refusal(), where("transcripts.tsv") + ": line 1: the transcript must not be empty");
}

TEST(AlphabetOf, TextsIsInOrderAndTwoWay) {
  const std::vector<std::string> texts = {"ba", "\xC3\xA9 a"};
  const auto alphabet = Alphabet::of(texts);
  EXPECT_EQ(alphabet.characters(), (std::vector<std::string>{" ", "a", "b", "\xC3\xA9"}));
  EXPECT_EQ(alphabet.labels(), 5);
  EXPECT_EQ(alphabet.encode("b\xC3\xA9", "x"), (std::vector<std::int32_t>{3, 4}));
  EXPECT_EQ(alphabet.decode(std::vector<std::int64_t>{3, 4, 1}), "b\xC3\xA9 ");
  EXPECT_EQ(error_of([&] { alphabet.encode("abc", "x.txt"); }),
            "x.txt: the transcript has the character 'c', which is not of the model's alphabet, ' "
            "ab\xC3\xA9'; write it with these");
  EXPECT_EQ(error_of<amp::InvalidArgument>([] {
              Alphabet({"a", "a"});
            }),
            "Alphabet: each character must be there once, got 'a' twice");
  EXPECT_EQ(error_of<amp::InvalidArgument>([] { Alphabet({}); }),
            "Alphabet: there must be characters, got none");
}

TEST(SpokenDigits, AreWithinTheirRanges) {
  std::set<std::size_t> lengths;
  std::set<std::string> voices;
  std::set<char> digits;
  for (std::int64_t i = 0; i < kSpokenDigits; ++i) {
    const auto utterance = digit_utterance(i);
    lengths.insert(utterance.digits.size());
    voices.insert(utterance.voice);
    digits.insert(utterance.digits.begin(), utterance.digits.end());
    EXPECT_TRUE(utterance.speed >= 120 && utterance.speed <= 220);
    EXPECT_TRUE(utterance.pitch >= 20 && utterance.pitch <= 79);
  }
  EXPECT_EQ(lengths, (std::set<std::size_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(voices.size(), 10u);
  EXPECT_EQ(digits.size(), 10u);
}

TEST(SpokenDigits, NeedTheSynthesiser) {
  const TemporaryFolder cache;
  const ScopedVariable place("XDG_CACHE_HOME", cache.path().c_str());
  const ScopedVariable path("PATH", "/nowhere");
  EXPECT_EQ(error_of([] { make_spoken_digits(); }),
            "spoken-digits: the command espeak-ng must speak, and it cannot be started; install "
            "Debian's package espeak-ng, or give --data a folder of NAME.wav with NAME.txt");
  EXPECT_TRUE(std::filesystem::is_empty(cache.path() / "ampersand"));
}

}  // namespace
}  // namespace ampersand::tests::recordings_test
