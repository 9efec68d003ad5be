// Vocabularies: byte pairs worked by hand and by a script, and texts that must come back whole.
#include "tasks/text/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/app/errors.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::vocabulary_test {
namespace {

using Merges = std::vector<TokenPair>;
using Tokens = std::vector<std::int32_t>;
using testing::ElementsAre;
using testing::HasSubstr;

std::string repeated(const std::string& text, int count) {
  std::string all;
  for (int k = 0; k < count; ++k) all += text;
  return all;
}

// What the tokens from 256 on stand for.
std::vector<std::string> merged_texts(const Vocabulary& vocabulary) {
  std::vector<std::string> texts;
  for (std::int64_t token = 256; token < vocabulary.size(); ++token) {
    texts.push_back(vocabulary.bytes_of(token));
  }
  return texts;
}

// e+s, l+o, o+w, s+t and w+e are there twice. e+s comes first by its tokens; that leaves w+e once,
// in " lower". Then l+o (108, 111) comes before the pairs of tokens 256 and 257.
TEST(Vocabulary, LearnsWhatOneFindsByHand) {
  const auto vocabulary = Vocabulary::train("low lower newest widest", 1000);
  EXPECT_THAT(merged_texts(vocabulary), ElementsAre("es", "lo", "est", "low"));
  EXPECT_EQ(vocabulary.size(), 260);
  EXPECT_EQ(vocabulary.encode("low"), (Tokens{259}));
  EXPECT_EQ(vocabulary.encode("lowest slow"), (Tokens{259, 258, ' ', 's', 259}));
  EXPECT_EQ(vocabulary.encode("les"), (Tokens{'l', 256}));
}

// Sennrich, Haddow and Birch's words and counts: low 5, lower 2, newest 6, widest 3. Their first
// merges are e+s, es+t, l+o and lo+w, as here.
TEST(Vocabulary, WeighsWordsByTheirCounts) {
  const std::string text = repeated("low\n", 5) + repeated("lower\n", 2) + repeated("newest\n", 6) +
                           repeated("widest\n", 3);
  const auto all = Vocabulary::train(text, 1000);
  EXPECT_THAT(merged_texts(all), ElementsAre("es", "est", "lo", "low", "ew", "new", "newest",
                                             "dest", "idest", "widest", "er", "lower"));
  EXPECT_THAT(merged_texts(Vocabulary::train(text, 260)), ElementsAre("es", "est", "lo", "low"));
  EXPECT_EQ(Vocabulary::train(text, 257).size(), 257);
}

// From tests/tasks/text/make_merges.py, which counts every pair anew for each merge.
TEST(Vocabulary, LearnsAndEncodesAsTheDefinitionSays) {
  const std::string text =
      "the theatre; the Th\u00e9, the th\u00e9--\u00e9t\u00e9's 12345 thetheth\u2026 the\r\n  "
      "th\u00e9\u00a0\u00e9t\u00e9 \U0001f600\U0001f600 the\t\U0001f600\n";
  const auto vocabulary = Vocabulary::train(text, 1000);
  const auto expected = Vocabulary::from_merges({{116, 104},
                                                 {32, 256},
                                                 {195, 169},
                                                 {257, 101},
                                                 {152, 128},
                                                 {159, 260},
                                                 {240, 261},
                                                 {116, 258},
                                                 {256, 101},
                                                 {257, 258},
                                                 {258, 263}});
  EXPECT_EQ(vocabulary.fingerprint(), expected.fingerprint());
  EXPECT_EQ(vocabulary.encode(text),
            (Tokens{264, 259, 97, 116, 114, 101, 59,  259, 32, 84,  104, 258, 44,  259, 265, 45,
                    45,  266, 39, 115, 32,  49,  50,  51,  52, 53,  259, 264, 256, 226, 128, 166,
                    259, 13,  10, 32,  265, 194, 160, 266, 32, 262, 262, 259, 9,   262, 10}));
  EXPECT_EQ(vocabulary.encode("other th\u00e9"), (Tokens{111, 264, 114, 265}));
}

TEST(Vocabulary, MergesRunsFromTheLeft) {
  const auto vocabulary = Vocabulary::from_merges({{'a', 'a'}, {256, 'a'}, {256, 256}});
  EXPECT_EQ(vocabulary.encode("a"), (Tokens{'a'}));
  EXPECT_EQ(vocabulary.encode("aaa"), (Tokens{257}));
  EXPECT_EQ(vocabulary.encode("aaaa"), (Tokens{258}));
  EXPECT_EQ(vocabulary.encode("aaaaa"), (Tokens{256, 257}));
}

TEST(Vocabulary, LearnsThePairOfNulBytesToo) {
  const auto vocabulary = Vocabulary::train(std::string(4, '\0') + "a", 1000);
  EXPECT_EQ(vocabulary.size(), 257);  // three pairs at first; then one of the merged token
  EXPECT_EQ(vocabulary.bytes_of(256), std::string(2, '\0'));
}

TEST(Vocabulary, BytesAreTheirOwnTokens) {
  const auto vocabulary = Vocabulary::bytes();
  EXPECT_EQ(vocabulary.size(), 256);
  EXPECT_EQ(vocabulary.kind(), Vocabulary::Kind::bytes);
  EXPECT_EQ(vocabulary.encode("A\u00e9\n"), (Tokens{65, 195, 169, 10}));
}

TEST(Vocabulary, EveryTextComesBackWhole) {
  std::string all;
  for (const auto& text : hard_texts()) all += text + "\n" + text;
  const std::vector<Vocabulary> vocabularies = {
      Vocabulary::bytes(), Vocabulary::train("low lower newest widest", 1000),
      Vocabulary::train(all, 300), Vocabulary::train(all, 5000)};
  auto texts = hard_texts();
  for (const auto& text : wild_bytes()) texts.push_back(text);
  texts.push_back(repeated(all, 30));  // more than a block of tokens
  for (const auto& vocabulary : vocabularies) {
    for (const auto& text : texts) {
      EXPECT_EQ(vocabulary.decode(vocabulary.encode(text)), text) << vocabulary_name(vocabulary);
    }
  }
}

TEST(Vocabulary, NoTokenReachesAcrossWords) {
  const auto vocabulary = Vocabulary::train(repeated("of the \n", 100), 1000);
  EXPECT_THAT(merged_texts(vocabulary), ElementsAre(" \n", " t", "he", "of", " the"));
}

TEST(Vocabulary, DependsOnTheWordsAndTheirCountsAlone) {
  const std::vector<std::string> lines = {"in the beginning\n", "was the word\n", "and the word\n"};
  const auto one = Vocabulary::train(lines[0] + lines[1] + lines[2], 400);
  const auto other = Vocabulary::train(lines[2] + lines[0] + lines[1], 400);
  EXPECT_EQ(one.fingerprint(), other.fingerprint());
  const std::vector<std::string_view> apart(lines.begin(), lines.end());
  EXPECT_EQ(Vocabulary::train(apart, 400).fingerprint(), one.fingerprint());
  EXPECT_NE(Vocabulary::train(lines[0] + lines[1], 400).fingerprint(), one.fingerprint());
}

TEST(Vocabulary, ASinkMayHaveEnough) {
  const std::string text = repeated("enough and more. ", 100'000);
  for (const auto& vocabulary : {Vocabulary::bytes(), Vocabulary::train(text, 260)}) {
    int calls = 0;
    Tokens tokens;
    vocabulary.encode(text, [&](std::span<const std::int32_t> block) {
      tokens.assign(block.begin(), block.end());
      return ++calls < 2;
    });
    EXPECT_EQ(calls, 2);
    EXPECT_LT(tokens.size(), 20'000u);
  }
}

TEST(Vocabulary, RefusesTokensOutOfRange) {
  const auto vocabulary = Vocabulary::train("low lower newest widest", 1000);
  for (const std::int32_t token : {-1, 260, 100'000}) {
    EXPECT_EQ(error_of<amp::InvalidArgument>([&] {
                vocabulary.decode(Tokens{'a', token});
              }),
              "Vocabulary: a token must be 0 to 259, got " + std::to_string(token) +
                  "; use the vocabulary that the tokens were made with");
  }
  EXPECT_THAT(error_of<amp::InvalidArgument>([] { (void)Vocabulary::bytes().bytes_of(256); }),
              HasSubstr("must be 0 to 255, got 256"));
}

TEST(Vocabulary, RefusesSizesAndTextsThatTeachNothing) {
  for (const std::int64_t size :
       {std::int64_t{256}, std::int64_t{-5}, Vocabulary::kMostTokens + 1}) {
    EXPECT_EQ(error_of<amp::InvalidArgument>([&] { Vocabulary::train("text", size); }),
              "Vocabulary: the size of a byte-pair vocabulary must be 257 to 1048576, got " +
                  std::to_string(size));
  }
  EXPECT_EQ(error_of<amp::InvalidArgument>([] { Vocabulary::train("", 300); }),
            "Vocabulary: there is no text to learn byte pairs from; give some");
}

TEST(Vocabulary, RefusesMergesThatCannotBe) {
  const auto refusal = [](const Merges& merges) {
    return error_of<amp::InvalidArgument>([&] { Vocabulary::from_merges(merges); });
  };
  EXPECT_EQ(refusal({{97, 256}}), "Vocabulary: merge 0 must join tokens 0 to 255, got 97 and 256");
  EXPECT_EQ(refusal({{97, 98}, {-1, 98}}),
            "Vocabulary: merge 1 must join tokens 0 to 256, got -1 and 98");
  EXPECT_EQ(refusal({{97, 98}, {97, 98}}),
            "Vocabulary: merge 1 of tokens 97 and 98 is there already");
  Merges doubling = {{97, 97}};
  for (std::int32_t token = 256; token < 262; ++token) doubling.emplace_back(token, token);
  EXPECT_EQ(refusal(doubling), "Vocabulary: a token must be at most 64 bytes long, got 128");
}

TEST(Vocabulary, ComparesFingerprints) {
  const auto vocabulary = Vocabulary::bytes();
  EXPECT_NO_THROW(check_fingerprint(vocabulary, vocabulary.fingerprint(), "the model"));
  const auto other = Vocabulary::train("low lower newest widest", 1000);
  const auto message = error_of<amp::InvalidArgument>(
      [&] { check_fingerprint(other, vocabulary.fingerprint(), "the model"); });
  EXPECT_EQ(message, "the model: the vocabulary must be the one it was trained with (fingerprint " +
                         vocabulary.fingerprint() + "), got bpe-260 from another text (" +
                         other.fingerprint() + "); use the file saved beside the checkpoint");
}

}  // namespace
}  // namespace ampersand::tests::vocabulary_test
