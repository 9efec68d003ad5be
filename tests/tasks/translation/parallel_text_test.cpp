// Parallel text: pairs of lines in one file or two, and what is no pair.
#include "tasks/translation/parallel_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/app/errors.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::parallel_text_test {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

Pairs pairs_of(const PairSet& set, const Vocabulary& vocabulary) {
  Pairs pairs;
  for (std::int64_t i = 0; i < set.size(); ++i) {
    pairs.emplace_back(vocabulary.decode(set.source(i)), vocabulary.decode(set.target(i)));
  }
  return pairs;
}

class ParallelTextTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    return folder_.write(name, bytes_of(text)).string();
  }
  static std::string refusal(const std::string& what, const ParallelOptions& options = {}) {
    return error_of([&] { load_parallel_text(what, options); });
  }

  TemporaryFolder folder_;
};

TEST_F(ParallelTextTest, TakesMarksAndExtensionsInAnyCase) {
  const std::string mark = "\xef\xbb\xbf";
  write("m.SRC", mark + "one\ntwo\n");
  write("m.Tgt", mark + "un\ndeux\n");
  for (const auto& path : {(folder_.path() / "m.SRC").string(), (folder_.path() / "m.Tgt").string(),
                           write("m.TSV", mark + "one\tun\ntwo\tdeux\n")}) {
    EXPECT_TRUE(names_parallel_text(path));
    const auto text = load_parallel_text(path, {.held_out = 0.5});
    EXPECT_THAT(pairs_of(text.train, text.vocabulary), ElementsAre(Pair("one", "un"))) << path;
    EXPECT_THAT(pairs_of(text.test, text.vocabulary), ElementsAre(Pair("two", "deux"))) << path;
  }
}

TEST_F(ParallelTextTest, ReadsPairsFromOneFile) {
  for (const std::string end : {"\n", "\r\n"}) {
    const auto path =
        write("pairs.tsv", "one\tun" + end + "two\tdeux" + end + "a summer\tun \u00e9t\u00e9");
    const auto data = load_parallel_text(path, {.held_out = 0.34});
    EXPECT_EQ(data.name, "pairs");
    EXPECT_THAT(pairs_of(data.train, data.vocabulary),
                ElementsAre(Pair("one", "un"), Pair("two", "deux")));
    EXPECT_THAT(pairs_of(data.test, data.vocabulary),
                ElementsAre(Pair("a summer", "un \u00e9t\u00e9")));
    EXPECT_EQ(data.train.longest_source(), 3);
    EXPECT_EQ(data.train.longest_target(), 4);
    EXPECT_EQ(data.test.target_tokens(), 8);
    EXPECT_EQ(data.test.target_bytes(), 8);
  }
}

TEST_F(ParallelTextTest, ReadsPairsFromTwoFiles) {
  const auto source = write("corpus.src", "one\ntwo\n");
  const auto target = write("corpus.tgt", "un\ndeux");
  for (const auto& what : {source, target}) {
    const auto data = load_parallel_text(what, {.held_out = 0.5});
    EXPECT_EQ(data.name, "corpus");
    EXPECT_THAT(pairs_of(data.train, data.vocabulary), ElementsAre(Pair("one", "un")));
    EXPECT_THAT(pairs_of(data.test, data.vocabulary), ElementsAre(Pair("two", "deux")));
  }
}

TEST_F(ParallelTextTest, HasThreeTokensMoreThanItsVocabulary) {
  const auto data = load_parallel_text(write("pairs.tsv", "a\tb\nc\td\n"), {.held_out = 0.5});
  EXPECT_EQ(data.begin_token(), 256);
  EXPECT_EQ(data.end_token(), 257);
  EXPECT_EQ(data.padding_token(), 258);
  EXPECT_EQ(data.tokens(), 259);
}

// Both files teach the same merges; the held-out pair none.
TEST_F(ParallelTextTest, LearnsOneVocabularyFromBothSides) {
  const auto expected = Vocabulary::train("low low\nest est\n", 1000).fingerprint();
  const ParallelOptions options = {.vocabulary = "bpe-1000", .held_out = 0.34};
  const auto one = write("pairs.tsv", "low low\test est\nx\ty\nzz zz\tzz zz\n");
  EXPECT_EQ(load_parallel_text(one, options).vocabulary.fingerprint(), expected);
  const auto source = write("corpus.src", "low low\nx\nzz zz\n");
  write("corpus.tgt", "est est\ny\nzz zz\n");
  const auto data = load_parallel_text(source, options);
  EXPECT_EQ(data.vocabulary.fingerprint(), expected);
  EXPECT_EQ(data.train.source(0).size(), 2u + 1);  // low, a space, low: " low" is there but once
  const auto given = load_parallel_text(
      source, {.vocabulary = "bpe-1000", .given = Vocabulary::bytes(), .held_out = 0.34});
  EXPECT_EQ(given.vocabulary.size(), 256);
}

TEST_F(ParallelTextTest, LimitsBothParts) {
  const auto path = write("pairs.tsv", "a\tb\nc\td\ne\tf\ng\th\n");
  const auto data = load_parallel_text(path, {.held_out = 0.5, .limit_train = 1, .limit_test = 7});
  EXPECT_THAT(pairs_of(data.train, data.vocabulary), ElementsAre(Pair("a", "b")));
  EXPECT_THAT(pairs_of(data.test, data.vocabulary), ElementsAre(Pair("e", "f"), Pair("g", "h")));
}

TEST_F(ParallelTextTest, HasNumbersBuiltIn) {
  const auto data = load_parallel_text("numbers");
  EXPECT_EQ(data.name, "numbers");
  EXPECT_EQ(data.train.size(), 45'000);
  EXPECT_EQ(data.test.size(), 5'000);
  for (const auto& [source, target] : pairs_of(data.test, data.vocabulary)) {
    EXPECT_EQ(source.find_first_not_of("0123456789,"), std::string::npos) << source;
    EXPECT_EQ(target.find_first_not_of("abcdefghijklmnopqrstuvwxyz -"), std::string::npos);
  }
}

TEST_F(ParallelTextTest, KnowsWhatNamesPairs) {
  for (const char* name : {"numbers", "a.tsv", "b/c.src", "d.tgt"}) {
    EXPECT_TRUE(names_parallel_text(name)) << name;
  }
  for (const char* name : {"kjv", "a.txt", "numbers.txt", "tsv", "fashion-mnist"}) {
    EXPECT_FALSE(names_parallel_text(name)) << name;
  }
}

TEST_F(ParallelTextTest, RefusesUnequalLines) {
  const auto source = write("corpus.src", "one\ntwo\nthree\n");
  const auto target = write("corpus.tgt", "un\ndeux\n");
  EXPECT_EQ(refusal(source), source + ": has 3 lines, but " + target +
                                 " has 2; give two files whose lines are pairs");
  write("alone.src", "one\n");
  const auto alone = (folder_.path() / "alone.tgt").string();
  EXPECT_EQ(refusal((folder_.path() / "alone.src").string()), alone + ": no such file");
}

TEST_F(ParallelTextTest, RefusesLinesThatAreNoPair) {
  const std::string rule = "must be \"source<TAB>target\" with one tab, got ";
  EXPECT_THAT(refusal(write("a.tsv", "one\tun\ntwo deux\n")),
              HasSubstr("line 2: " + rule + "0 tabs"));
  EXPECT_THAT(refusal(write("a.tsv", "one\tun\tuno\n")), HasSubstr("line 1: " + rule + "2 tabs"));
  EXPECT_THAT(refusal(write("a.tsv", "one\tun\n\n")), HasSubstr("line 2: " + rule + "0 tabs"));
  EXPECT_THAT(refusal(write("a.tsv", "one\tun\n\tdeux\n")),
              HasSubstr("line 2: the source must not be empty"));
  EXPECT_THAT(refusal(write("a.tsv", "one\t\r\n")),
              HasSubstr("line 1: the target must not be empty"));
  write("b.src", "one\n\nthree\n");
  const auto target = write("b.tgt", "un\ndeux\ntrois\n");
  EXPECT_EQ(refusal(target),
            (folder_.path() / "b.src").string() +
                ": line 2: the source must not be empty; complete the pair or remove it");
}

TEST_F(ParallelTextTest, RefusesFilesThatAreNoText) {
  const auto empty = write("a.tsv", "");
  EXPECT_EQ(refusal(empty), empty + ": holds no lines; give a file with some");
  EXPECT_THAT(refusal(write("a.tsv", "caf\xE9\tcoffee\n")),
              HasSubstr("got the byte 0xe9 at byte 3"));
  EXPECT_EQ(refusal("/no/such.tsv"), "/no/such.tsv: no such file");
  const auto one = write("a.tsv", "one\tun\n");
  EXPECT_EQ(refusal(one), one + ": too short to hold out 0.1 of it; give a longer text");
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { load_parallel_text(one, {.held_out = 2}); }),
            "load_parallel_text: held_out must be 0 to 1, got 2");
}

}  // namespace
}  // namespace ampersand::tests::parallel_text_test
