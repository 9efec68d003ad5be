// Vocabulary files: what they look like, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "tasks/text/vocabulary.h"
#include "tests/app/errors.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::vocabulary_file_test {
namespace {

using testing::HasSubstr;

class VocabularyFile : public ::testing::Test {
 protected:
  std::string saved(const Vocabulary& vocabulary) const {
    vocabulary.save(path());
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // The message for a file of `text`, without the path it must begin with.
  std::string refusal(const std::string& text) const {
    folder_.write("vocabulary.json", bytes_of(text));
    const auto message = error_of([&] { Vocabulary::load(path()); });
    const std::string start = path().string() + ": ";
    EXPECT_TRUE(message.starts_with(start)) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
    return message.substr(std::min(message.size(), start.size()));
  }
  std::filesystem::path path() const { return folder_.path() / "vocabulary.json"; }

  static std::string replaced(std::string text, const std::string& old, const std::string& now) {
    const auto place = text.find(old);
    EXPECT_NE(place, std::string::npos) << old;
    return place == std::string::npos ? text : text.replace(place, old.size(), now);
  }

  TemporaryFolder folder_;
};

// The fingerprint is what `printf 'bpe\0...' | xxhsum -H128` prints for kind and merges: 6c 00 00
// 00 6f 00 00 00 and so on.
TEST_F(VocabularyFile, ReadsLikeText) {
  EXPECT_EQ(saved(Vocabulary::from_merges({{'l', 'o'}, {256, 'w'}, {0xc3, 0xa9}, {0xa9, '"'}})),
            "{\n"
            "\"format\": \"ampersand-vocabulary\",\n"
            "\"version\": 1,\n"
            "\"kind\": \"bpe\",\n"
            "\"size\": 260,\n"
            "\"fingerprint\": \"db117c1927a56a0817be80c4b9ce460a\",\n"
            "\"merges\": [\n"
            "[108, 111, \"lo\"],\n"
            "[256, 119, \"low\"],\n"
            "[195, 169, \"\u00e9\"],\n"
            "[169, 34, \"\\\\xa9\\\"\"]\n"
            "]\n}\n");
  EXPECT_EQ(Vocabulary::bytes().fingerprint(),
            "bb20976731956c6c8d3a416c7bda45a3");  // of "bytes" and a NUL
}

TEST_F(VocabularyFile, ComesBackTheSame) {
  std::string all;
  for (const auto& text : hard_texts()) all += text + text;
  for (const auto& text : wild_bytes()) all += text + text;
  for (const auto& vocabulary : {Vocabulary::bytes(), Vocabulary::train(all, 700)}) {
    vocabulary.save(path());
    const auto loaded = Vocabulary::load(path());
    EXPECT_EQ(loaded.fingerprint(), vocabulary.fingerprint());
    EXPECT_EQ(loaded.kind(), vocabulary.kind());
    EXPECT_EQ(loaded.size(), vocabulary.size());
    EXPECT_EQ(loaded.encode(all), vocabulary.encode(all));
  }
}

TEST_F(VocabularyFile, RefusesWhatIsNone) {
  const auto missing = folder_.path() / "missing";
  EXPECT_EQ(error_of([&] { Vocabulary::load(missing); }), missing.string() + ": no such file");
  EXPECT_THAT(refusal(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("[]"), HasSubstr("its format must be ampersand-vocabulary"));
  EXPECT_THAT(refusal("{\"format\": \"other\"}"), HasSubstr("its format must be"));
  EXPECT_THAT(refusal(std::string(100, '[')), HasSubstr("deeper than 3"));
}

TEST_F(VocabularyFile, RefusesWhatWasChanged) {
  const auto text = saved(Vocabulary::from_merges({{'l', 'o'}, {256, 'w'}}));
  const std::string remedy = "; give a file that was saved beside a checkpoint";
  const std::string not_those =
      "the merges are not those that its size and fingerprint were written for" + remedy;
  EXPECT_EQ(refusal(replaced(text, "[256, 119", "[256, 120")), not_those);
  EXPECT_EQ(refusal(replaced(text, "258", "300")), not_those);
  EXPECT_EQ(refusal(replaced(text, "\"fingerprint\": \"", "\"fingerprint\": \"0")), not_those);
  EXPECT_EQ(refusal(replaced(text, "\"version\": 1", "\"version\": 2")),
            "the version of a vocabulary must be 1, got 2" + remedy);
  EXPECT_EQ(
      refusal(replaced(text, "\"bpe\"", "\"words\"")),
      "a vocabulary must be of kind bytes, of kind gpt2, or of kind bpe with a list of merges" +
          remedy);
  EXPECT_EQ(refusal(replaced(text, "[256, 119", "[300, 119")),
            "Vocabulary: merge 1 must join tokens 0 to 256, got 300 and 119" + remedy);
  for (const char* merge : {"[-1, 119, \"low\"]", "[1, 2]", "7", "[1e9, 3, \"\"]",
                            "[4294967299, 119, \"low\"]", "{\"a\": 1}"}) {
    EXPECT_THAT(refusal(replaced(text, "[256, 119, \"low\"]", merge)),
                HasSubstr("a merge must be [left token, right token, text], got"))
        << merge;
  }
  for (std::size_t length = 0; length < text.size() - 2; ++length) {
    EXPECT_THAT(refusal(text.substr(0, length)), HasSubstr("not valid JSON"));
  }
}

}  // namespace
}  // namespace ampersand::tests::vocabulary_file_test
