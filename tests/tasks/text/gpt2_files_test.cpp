// GPT-2's vocab.json and merges.txt: the tokens of tokenizers (tests/tasks/text/make_gpt2_tokens.py), and files that are
// refused.
#include "tasks/text/gpt2_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tasks/text/choose_vocabulary.h"
#include "tasks/text/stored_vocabulary.h"
#include "tests/app/errors.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::gpt2_files_test {
namespace {

using Json = nlohmann::json;
using Tokens = std::vector<std::int32_t>;
using testing::HasSubstr;
using testing::StartsWith;

const std::vector<std::string> kMerges = {
    "a b",      "b c",   "ab c",       "a bc", "abc a", "a a",   "aa a",         "c abc",
    "\u0120 a", "aa aa", "\u0120 abc", "1 1",  "11 1",  "aaa a", "\u00c3 \u00a9"};

std::string utf8_of(int code) {
  return code < 0x80 ? std::string(1, static_cast<char>(code))
                     : std::string{static_cast<char>(0xc0 | code >> 6),
                                   static_cast<char>(0x80 | (code & 0x3f))};
}

class Gpt2FilesTest : public ::testing::Test {
 protected:
  // The letters of the bytes are U+0021 to U+007E, U+00A1 to U+00AC and U+00AE to U+0143.
  Gpt2FilesTest() {
    int number = 0;
    for (int code = 0x21; code <= 0x143; ++code) {
      if ((code > 0x7e && code < 0xa1) || code == 0xad) continue;
      numbers_[utf8_of(code)] = number++;
    }
    for (auto merge : kMerges) {
      merge.erase(merge.find(' '), 1);
      if (!numbers_.contains(merge)) numbers_[merge] = number++;
    }
    numbers_["<|endoftext|>"] = number;
    write();
  }

  std::filesystem::path path(const std::string& name) const { return folder_.path() / name; }
  void write(const std::string& first_line = "#version: 0.2\n",
             const std::string& end = "\n") const {
    std::string lines = first_line;
    for (const auto& merge : merges_) lines += merge + end;
    folder_.write("vocab.json", bytes_of(numbers_.dump()));
    folder_.write("merges.txt", bytes_of(lines));
  }
  Vocabulary load(const std::string& name = "") const {
    return choose_vocabulary(path(name).string(), {}, {});
  }
  // The message without the folder's name, which is in it once or twice.
  std::string refusal(const std::string& name = "") const {
    auto message = error_of([&] { load(name); });
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    const auto folder = folder_.path().string() + "/";
    for (auto place = message.find(folder); place != message.npos; place = message.find(folder))
      message.erase(place, folder.size());
    return message;
  }

  TemporaryFolder folder_;
  Json numbers_ = Json::object();
  std::vector<std::string> merges_ = kMerges;
};

constexpr const char* kPair = "; give a vocab.json and the merges.txt that was written with it";

TEST_F(Gpt2FilesTest, TokensAreThoseOfTokenizers) {
  const auto vocabulary = load();
  EXPECT_EQ(vocabulary_name(vocabulary), "gpt2-270");
  const std::vector<std::pair<std::string, Tokens>> expected = {
      {"abc aabcab bca aaaaaaa", {258, 263, 258, 256, 220, 257, 64, 220, 264, 261}},
      {"1111 11,111\n\n  abc\t a", {266, 266, 220, 266, 11, 267, 198, 198, 220, 265, 197, 263}},
      {"\u00e9t\u00e9 na\u00efve \u6f22\u5b57 \U0001f600",
       {268, 83,  268, 220, 77,  64,  127, 107, 85,  68,  220,
        162, 120, 95,  161, 255, 245, 220, 172, 253, 246, 222}},
      {"ab<|endoftext|> abc<|endoftext|><|endoftext",
       {256, 269, 265, 269, 27, 91, 68, 77, 67, 78, 69, 83, 68, 87, 83}},
      {std::string("\0\x7f\u0085\u00a0\u00ad", 8), {188, 221, 126, 227, 126, 254, 126, 255}}};
  for (const auto& [text, tokens] : expected) {
    EXPECT_EQ(vocabulary.encode(text), tokens) << text;
    EXPECT_EQ(vocabulary.decode(std::span<const std::int32_t>(tokens)), text);
  }
  EXPECT_EQ(vocabulary.bytes_of(269), "<|endoftext|>");
}

TEST_F(Gpt2FilesTest, EveryTextComesBackWhole) {
  auto texts = hard_texts();
  for (const auto& text : wild_bytes()) texts.push_back(text);
  texts.push_back(std::string(100'000, 'a') + "<|endoftext|>" + std::string(100'000, ' '));
  const auto vocabulary = load();
  for (const auto& text : texts) EXPECT_EQ(vocabulary.decode(vocabulary.encode(text)), text);
}

TEST_F(Gpt2FilesTest, AreNamedByTheirFolderOrEitherFile) {
  const auto fingerprint = load().fingerprint();
  EXPECT_EQ(load("vocab.json").fingerprint(), fingerprint);
  EXPECT_EQ(load("merges.txt").fingerprint(), fingerprint);
  write("", "\r\n");
  EXPECT_EQ(load().fingerprint(), fingerprint);
  write("\xef\xbb\xbf#version: 0.2\n", "\n\n");
  EXPECT_EQ(load().fingerprint(), fingerprint);
  for (const auto& [tokens, merges] :
       {std::pair{"small-vocab.json", "small-merges.txt"}, {"encoder.json", "vocab.bpe"}}) {
    std::filesystem::rename(path("vocab.json"), path(tokens));
    std::filesystem::rename(path("merges.txt"), path(merges));
    EXPECT_EQ(load().fingerprint(), fingerprint);
    EXPECT_EQ(load(tokens).fingerprint(), fingerprint);
    EXPECT_EQ(load(merges).fingerprint(), fingerprint);
    write();
    EXPECT_THAT(refusal(), HasSubstr("holds 2 vocabularies; name one by its file, such as " +
                                     std::string(tokens)));
    std::filesystem::remove(path(tokens));
    std::filesystem::remove(path(merges));
  }
}

TEST_F(Gpt2FilesTest, ComeBackFromAVocabularyFileAndFromACheckpoint) {
  const auto vocabulary = load();
  vocabulary.save(path("vocabulary.json"));
  const auto loaded = Vocabulary::load(path("vocabulary.json"));
  const auto stored = stored_vocabulary({{"vocabulary", vocabulary_json(vocabulary)}});
  for (const auto& other : {loaded, stored}) {
    EXPECT_EQ(other.kind(), Vocabulary::Kind::gpt2);
    EXPECT_EQ(other.fingerprint(), vocabulary.fingerprint());
    EXPECT_EQ(other.encode("abc\u00e9<|endoftext|> a"),
              vocabulary.encode("abc\u00e9<|endoftext|> a"));
  }
  // The same merges with other numbers are another vocabulary.
  std::swap(numbers_["a"], numbers_["b"]);
  write();
  EXPECT_NE(load().fingerprint(), vocabulary.fingerprint());
}

TEST_F(Gpt2FilesTest, BelongTogether) {
  merges_.push_back("abc z");
  write();
  EXPECT_EQ(refusal(),
            "merges.txt: line 17: the token \"abcz\" is not in vocab.json" + std::string(kPair));
  merges_.back() = "q abcd";
  write();
  EXPECT_EQ(refusal(),
            "merges.txt: line 17: the token \"abcd\" is not in vocab.json" + std::string(kPair));
  merges_.resize(kMerges.size() - 2);
  write();
  EXPECT_EQ(refusal(),
            "merges.txt: makes 1 of the 270 tokens of vocab.json not, such as \"\\u00c3\\u00a9\"" +
                std::string(kPair));
  merges_ = kMerges;
  merges_.push_back("a b");
  write();
  EXPECT_EQ(refusal(), "merges.txt: Vocabulary: merge 15 of tokens 64 and 65 is there already" +
                           std::string(kPair));
  merges_ = {kMerges.rbegin(), kMerges.rend()};
  write();
  EXPECT_THAT(refusal(), HasSubstr("which is no byte and which no earlier merge makes"));
  std::filesystem::remove(path("merges.txt"));
  EXPECT_EQ(refusal("vocab.json"),
            "vocab.json: must have merges.txt beside it" + std::string(kPair));
  EXPECT_THAT(refusal(), HasSubstr(": holds no vocabulary; give a vocab.json"));
}

TEST_F(Gpt2FilesTest, HaveWholeLines) {
  for (const char* line : {"ab", "a b c", " ab", "ab ", "a  b"}) {
    merges_ = kMerges;
    merges_.insert(merges_.begin(), line);
    write();
    EXPECT_THAT(
        refusal(),
        StartsWith("merges.txt: line 2: must be two tokens with one space between them, got \""));
  }
}

TEST_F(Gpt2FilesTest, NumberTheirTokensWithoutGaps) {
  const auto whole = numbers_;
  const std::string rule =
      "vocab.json: the numbers of its 270 tokens must be 0 to 269, each once, got ";
  for (const auto& [number, said] :
       std::vector<std::pair<Json, std::string>>{{270, "\"270\""},
                                                 {-1, "\"-1\""},
                                                 {5.5, "\"5.5\""},
                                                 {"5", "\"\\\"5\\\"\""},
                                                 {268, "\"268\" twice"}}) {
    numbers_["<|endoftext|>"] = number;
    write();
    EXPECT_THAT(refusal(), StartsWith(rule + said + " for ")) << said;
  }
  numbers_ = whole;
  numbers_.erase("\u0120");
  numbers_["<s>"] = whole["\u0120"];
  write();
  EXPECT_EQ(refusal(),
            "vocab.json: has no token \"\\u0120\" for the byte 32; train it with "
            "initial_alphabet=ByteLevel.alphabet()");
}

TEST_F(Gpt2FilesTest, AreJsonAndText) {
  for (const auto& [text, said] : std::vector<std::pair<std::string, std::string>>{
           {"{\"a\": 0", "the vocabulary is not valid JSON at its byte 8"},
           {"{\"a\": 0, \"a\": 1}", "the vocabulary has the key \"a\" twice"},
           {"[1]", "must be an object with the number of each token by its text"},
           {"{}", "must be an object with the number"},
           {"{\"a\": {\"b\": {}}}", "the vocabulary must not nest values deeper than 1"},
           {"\xff", "text must be UTF-8"}}) {
    folder_.write("vocab.json", bytes_of(text));
    EXPECT_THAT(refusal(), StartsWith("vocab.json: " + said)) << text;
  }
  folder_.write(
      "tokenizer.json",
      bytes_of("{\n  \"version\": \"1.0\",\n  \"truncation\": null, \"x\": [[[[[1]]]]]}"));
  EXPECT_EQ(
      refusal("tokenizer.json"),
      "tokenizer.json: is a tokenizer.json, which is not read; give a folder with vocab.json and "
      "merges.txt, which tokenizer.model.save(FOLDER) writes");
}

}  // namespace
}  // namespace ampersand::tests::gpt2_files_test
