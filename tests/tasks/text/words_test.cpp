// Words: where a text is cut for byte pairs.
#include "tasks/text/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::words_test {
namespace {

using testing::ElementsAre;

std::vector<std::string> words_in(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t length = first_word(text);
    if (length == 0 || length > kLongestWord) throw std::runtime_error("no word");
    words.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return words;
}

TEST(Words, KeepTheirLeadingSpace) {
  EXPECT_THAT(words_in("And God said, Let there be light: 1:3"),
              ElementsAre("And", " God", " said", ",", " Let", " there", " be", " light", ":", " 1",
                          ":", "3"));
  EXPECT_THAT(words_in("  2 And   the\n\nEnd \n"),
              ElementsAre(" ", " 2", " And", "  ", " the", "\n\n", "End", " \n"));
  EXPECT_THAT(words_in(" "), ElementsAre(" "));
}

TEST(Words, HoldApostrophesDigitsAndSignsApart) {
  EXPECT_THAT(words_in("LORD's don't 'tis ''x"),
              ElementsAre("LORD", "'s", " don", "'t", " '", "tis", " ''", "x"));
  EXPECT_THAT(words_in("12345 1"), ElementsAre("123", "45", " 1"));
  EXPECT_THAT(words_in("a--b (c)."), ElementsAre("a", "--", "b", " (", "c", ")."));
}

// tests/tasks/text/make_merges.py cuts this text with a regular expression.
TEST(Words, KnowLettersBeyondAscii) {
  EXPECT_THAT(
      words_in("th\u00e9--\u00e9t\u00e9's thetheth\u2026 the\r\n  th\u00e9\u00a0\u00e9t\u00e9 "
               "\U0001f600\U0001f600 the\t\U0001f600\n"),
      ElementsAre("th\u00e9", "--", "\u00e9t\u00e9", "'s", " thetheth", "\u2026", " the", "\r\n ",
                  " th\u00e9", "\u00a0", "\u00e9t\u00e9", " \U0001f600\U0001f600", " the", "\t",
                  "\U0001f600", "\n"));
  EXPECT_THAT(words_in("\u300c\u732b\u300d"), ElementsAre("\u300c", "\u732b", "\u300d"));
}

TEST(Words, AreBoundedAndEndBetweenCharacters) {
  EXPECT_EQ(first_word(std::string(1000, 'a')), 64u);
  EXPECT_EQ(first_word(std::string(1000, ' ')), 64u);
  std::string grins;
  for (int k = 0; k < 20; ++k) grins += "\U0001f600";
  EXPECT_EQ(first_word("a" + grins), 61u);
  EXPECT_EQ(first_word(" " + grins), 61u);
}

TEST(Words, AreTheWholeText) {
  auto texts = hard_texts();
  for (const auto& text : wild_bytes()) texts.push_back(text);
  for (const auto& text : texts) {
    std::string joined;
    for (const auto& word : words_in(text)) joined += word;
    EXPECT_EQ(joined, text);
  }
}

}  // namespace
}  // namespace ampersand::tests::words_test
