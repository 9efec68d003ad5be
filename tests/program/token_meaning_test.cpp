// Weights and what their tokens mean: a vocabulary's fingerprint goes with them.
#include <fstream>

#include "tests/program/program.h"
#include "tests/tasks/speech/wav_files.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::token_meaning_test {
namespace {

namespace fs = std::filesystem;

class TokenMeanings : public ProgramTest {
 protected:
  void SetUp() override {
    std::string one, other;
    for (int i = 0; i < 200; ++i) {
      one += "the cat sat on the mat and " + std::to_string(i) + "\n";
      other += "a quick brown fox jumps over it " + std::to_string(i) + "\n";
    }
    write("one.txt", one);
    write("other.txt", other);
  }
  void write(const std::string& name, const std::string& text) const {
    folder_.write(name, bytes_of(text));
  }
  Outcome gpt(const std::string& output, const std::string& data, const std::string& vocabulary,
              const Arguments& more = {}) const {
    return run(joined({"train",
                       "--model",
                       "gpt",
                       "--data",
                       data,
                       "--vocabulary",
                       vocabulary,
                       "--context",
                       "16",
                       "--layers",
                       "1",
                       "--width",
                       "16",
                       "--heads",
                       "2",
                       "--batch-size",
                       "4",
                       "--steps",
                       "2",
                       "--threads",
                       "1",
                       "--output",
                       output,
                       "--overwrite",
                       "--cpu-fp32-engine",
                       "stock"},
                      more));
  }
  std::string fingerprint(const std::string& run) const {
    return json_of(path(run + "/vocabulary.json"))["fingerprint"];
  }
  static Json metadata(const std::string& bytes) {
    std::size_t length = 0;
    for (std::size_t i = 8; i-- > 0;) length = length << 8 | static_cast<unsigned char>(bytes[i]);
    return Json::parse(bytes.substr(8, length)).value("__metadata__", Json());
  }
  // The same tensors without the metadata.
  static std::string bare(const std::string& bytes) {
    std::size_t length = 0;
    for (std::size_t i = 8; i-- > 0;) length = length << 8 | static_cast<unsigned char>(bytes[i]);
    auto header = Json::parse(bytes.substr(8, length));
    header.erase("__metadata__");
    const auto text = header.dump();
    return little_endian(text.size(), 8) + text + bytes.substr(8 + length);
  }
};

TEST_F(TokenMeanings, GoWithWeights) {
  ASSERT_EQ(gpt("one", "one.txt", "bpe-270").status, 0);
  const auto mark = fingerprint("one");
  EXPECT_EQ(json_of(path("one/results.json"))["settings"]["vocabulary_fingerprint"], mark);
  for (const std::string format : {"safetensors", "gpt2"}) {
    const auto file = format + ".safetensors";
    ASSERT_EQ(run({"export", "one", "--format", format, "--output", file}).status, 0);
    EXPECT_EQ(
        metadata(text_of(path(file))),
        (Json{{"format", "pt"}, {"vocabulary", "bpe-270"}, {"vocabulary_fingerprint", mark}}));
    // Another text gives as many byte pairs, but others.
    const auto refused = gpt("x", "other.txt", "bpe-270", {"--init", file});
    expect_refusal_like(
        refused, 2,
        file + ": these weights were trained with the vocabulary bpe-270 (fingerprint " + mark +
            "), and this training has bpe-270 (",
        "), whose tokens mean other things; give --vocabulary the vocabulary.json of "
        "their run");
    EXPECT_FALSE(contains(refused.err, "has bpe-270 (" + mark));
    EXPECT_FALSE(fs::exists(path("x")));
    expect_refusal_like(gpt("x", "one.txt", "bytes", {"--init", file}), 2,
                        file + ": these weights were trained with the vocabulary bpe-270",
                        "this training has bytes (");
    const auto taken = gpt("x", "other.txt", "one/vocabulary.json", {"--init", file});
    EXPECT_EQ(taken.status, 0);
    EXPECT_FALSE(contains(taken.err, "vocabulary")) << taken.err;
    fs::remove_all(path("x"));
  }
  // A checkpoint's own weights, too.
  const std::string own = "one/checkpoints/step-000000002/weights.safetensors";
  expect_refusal_like(gpt("x", "other.txt", "bpe-270", {"--init", own}), 2,
                      own + ": these weights were trained with the vocabulary bpe-270");
  EXPECT_EQ(gpt("x", "one.txt", "bpe-270", {"--init", own}).status, 0);
}

TEST_F(TokenMeanings, ThatAreNotToldAreAskedFor) {
  ASSERT_EQ(gpt("one", "one.txt", "bytes").status, 0);
  ASSERT_EQ(run({"export", "one", "--output", "w.safetensors"}).status, 0);
  expect_refusal_like(gpt("x", "one.txt", "bpe-270", {"--init", "w.safetensors"}), 2,
                      "w.safetensors: these weights were trained with the vocabulary bytes",
                      "; give --vocabulary bytes");
  write("bare.safetensors", bare(text_of(path("w.safetensors"))));
  const auto outcome = gpt("x", "other.txt", "bytes", {"--init", "bare.safetensors"});
  EXPECT_EQ(outcome.status, 0);
  const std::string notice =
      "ampersand: bare.safetensors: these weights do not tell which vocabulary they were trained "
      "with; they are taken for weights of bytes\n";
  const auto first = outcome.err.find(notice);
  EXPECT_NE(first, std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find(notice, first + 1), std::string::npos);
  // Images have no tokens.
  ASSERT_EQ(run(small("train", "images")).status, 0);
  ASSERT_EQ(run({"export", "images", "--output", "i.safetensors"}).status, 0);
  EXPECT_EQ(metadata(text_of(path("i.safetensors"))), (Json{{"format", "pt"}}));
  EXPECT_FALSE(contains(run(small("train", "x2", {"--init", "i.safetensors"})).err, "weights"));
}

TEST_F(TokenMeanings, OfRecordingsAreTheirCharacters) {
  const auto speech = [&](const std::string& output, const char* text, const Arguments& more = {}) {
    for (int i = 0; i < 4; ++i) {
      fs::create_directories(path(output + "-sounds"));
      write(output + "-sounds/" + std::to_string(i) + ".wav", tone(0.5, i));
      write(output + "-sounds/" + std::to_string(i) + ".txt", text);
    }
    return run(joined({"train", "--model", "speech", "--data", output + "-sounds", "--layers", "1",
                       "--width", "8", "--batch-size", "2", "--steps", "1", "--threads", "1",
                       "--held-out", "0.3", "--output", output},
                      more));
  };
  ASSERT_EQ(speech("one", "ab").status, 0);
  ASSERT_EQ(run({"export", "one", "--output", "w.safetensors"}).status, 0);
  EXPECT_EQ(metadata(text_of(path("w.safetensors")))["alphabet"], "2 characters");
  expect_refusal_like(speech("two", "ac", {"--init", "w.safetensors"}), 2,
                      "w.safetensors: these weights were trained with the alphabet 2 characters",
                      "train on transcripts of the same characters");
  EXPECT_EQ(speech("three", "ba", {"--init", "w.safetensors"}).status, 0);
}

// GPT-2's two files serve a training as any vocabulary does.
TEST_F(TokenMeanings, OfGpt2sFilesAreKept) {
  Json numbers;
  for (int code = 0x21; code <= 0x143; ++code) {
    if ((code > 0x7e && code < 0xa1) || code == 0xad) continue;
    const auto number = numbers.size();
    numbers[code < 0x80 ? std::string(1, static_cast<char>(code))
                        : std::string{static_cast<char>(0xc0 | code >> 6),
                                      static_cast<char>(0x80 | (code & 0x3f))}] = number;
  }
  for (const char* token :
       {"<|endoftext|>", "at", "th", "the", "\u0120the", "\u0120c", "\u0120cat"})
    numbers[token] = numbers.size();
  fs::create_directories(path("pair"));
  write("pair/vocab.json", numbers.dump());
  write("pair/merges.txt", "#version: 0.2\na t\nt h\nth e\n\u0120 the\n\u0120 c\n\u0120c at\n");
  ASSERT_EQ(gpt("run", "one.txt", "pair").status, 0);
  EXPECT_EQ(json_of(path("run/results.json"))["settings"]["vocabulary_size"], 263);
  fs::remove_all(path("pair"));
  EXPECT_EQ(run({"eval", "run"}).status, 0);
  EXPECT_TRUE(run({"predict", "run", "--prompt", "the cat<|endoftext|>", "--tokens", "2"})
                  .out.starts_with("the cat<|endoftext|>"));
  EXPECT_EQ(run({"train", "--resume", "run", "--steps", "3"}).status, 0);
  ASSERT_EQ(run({"export", "run", "--format", "gpt2", "--output", "w.safetensors"}).status, 0);
  EXPECT_EQ(metadata(text_of(path("w.safetensors")))["vocabulary"], "gpt2-263");
  EXPECT_EQ(gpt("x", "other.txt", "run/vocabulary.json", {"--init", "w.safetensors"}).status, 0);
  expect_refusal_like(gpt("x", "other.txt", "bpe-263", {"--init", "w.safetensors"}), 2,
                      "w.safetensors: these weights were trained with the vocabulary gpt2-263");
}

}  // namespace
}  // namespace ampersand::tests::token_meaning_test
