// Words as GPT-2 cuts them, from tests/tasks/text/make_gpt2_tokens.py.
#include "tasks/text/gpt2_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::gpt2_words_test {
namespace {

using testing::ElementsAre;

std::vector<std::string> words_in(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t length = first_gpt2_word(text);
    if (length == 0 || length > kLongestGpt2Word) throw std::runtime_error("no word");
    words.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return words;
}

TEST(Gpt2Words, AreThoseOfTokenizers) {
  EXPECT_THAT(words_in("I'll don't 'tis we'd'S"),
              ElementsAre("I", "'ll", " don", "'t", " '", "tis", " we", "'d", "'", "S"));
  EXPECT_THAT(words_in("x  = 12\u00bd\u2160;\n\n  y\t z  "),
              ElementsAre("x", " ", " =", " 12\u00bd\u2160", ";", "\n\n ", " y", "\t", " z", "  "));
  EXPECT_THAT(words_in(" \u6f22\u5b57\u3002\u00a0\u00a0e\u0301!"),
              ElementsAre(" \u6f22\u5b57", "\u3002", "\u00a0", "\u00a0", "e", "\u0301!"));
  EXPECT_THAT(words_in("a\u3000 b\n \nc"), ElementsAre("a", "\u3000", " b", "\n ", "\n", "c"));
}

// White space at the end of the text is one word; before something else its last character is not in it.
TEST(Gpt2Words, HoldWhiteSpaceTogether) {
  EXPECT_THAT(words_in("   "), ElementsAre("   "));
  EXPECT_THAT(words_in(" "), ElementsAre(" "));
  EXPECT_THAT(words_in("\n"), ElementsAre("\n"));
  EXPECT_THAT(words_in("   \t"), ElementsAre("   \t"));
  EXPECT_THAT(words_in("\t\tx"), ElementsAre("\t", "\t", "x"));
  EXPECT_THAT(words_in("\u2003\u2003x"), ElementsAre("\u2003", "\u2003", "x"));
}

TEST(Gpt2Words, TakeBytesOfNoCharacterForSigns) {
  EXPECT_THAT(words_in("a\xff\xfe"
                       "b \xc3"),
              ElementsAre("a", "\xff\xfe", "b", " \xc3"));
  EXPECT_THAT(words_in("\xe6\xbc"), ElementsAre("\xe6\xbc"));
}

TEST(Gpt2Words, OfAnyTextAreTheText) {
  auto texts = hard_texts();
  for (const auto& text : wild_bytes()) texts.push_back(text);
  for (const auto& text : texts) {
    std::string all;
    for (const auto& word : words_in(text)) all += word;
    EXPECT_EQ(all, text);
  }
}

TEST(Gpt2Words, AreBounded) {
  // 2^20 is no multiple of three: no character is cut.
  std::string han;
  for (std::size_t i = 0; i < kLongestGpt2Word / 2; ++i) han += "\u6f22";
  EXPECT_EQ(first_gpt2_word(han), kLongestGpt2Word - 1);
  EXPECT_EQ(first_gpt2_word(std::string(kLongestGpt2Word + 9, 'a')), kLongestGpt2Word);
}

}  // namespace
}  // namespace ampersand::tests::gpt2_words_test
