// Numbers and their names, against names written by hand.
#include "tasks/translation/number_words.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "tests/app/errors.h"

namespace ampersand::tests::number_words_test {
namespace {

TEST(NumberWords, NameWhatOneSays) {
  const std::map<std::uint32_t, std::pair<const char*, const char*>> names = {
      {0, {"0", "zero"}},
      {7, {"7", "seven"}},
      {13, {"13", "thirteen"}},
      {20, {"20", "twenty"}},
      {21, {"21", "twenty-one"}},
      {99, {"99", "ninety-nine"}},
      {100, {"100", "one hundred"}},
      {110, {"110", "one hundred ten"}},
      {999, {"999", "nine hundred ninety-nine"}},
      {1000, {"1,000", "one thousand"}},
      {4217, {"4,217", "four thousand two hundred seventeen"}},
      {10015, {"10,015", "ten thousand fifteen"}},
      {100000, {"100,000", "one hundred thousand"}},
      {1000001, {"1,000,001", "one million one"}},
      {348012040, {"348,012,040", "three hundred forty-eight million twelve thousand forty"}},
      {4294967295,
       {"4,294,967,295",
        "four billion two hundred ninety-four million nine hundred sixty-seven thousand two "
        "hundred ninety-five"}}};
  for (const auto& [number, expected] : names) {
    EXPECT_EQ(digits_of(number), expected.first);
    EXPECT_EQ(words_of(number), expected.second);
  }
}

TEST(NumberPairs, AreDifferentAndTheSameEachTime) {
  const auto pairs = number_pairs(20'000);
  ASSERT_EQ(pairs.size(), 20'000u);
  std::set<std::string> digits, words;
  std::map<std::size_t, int> lengths;
  for (const auto& [source, target] : pairs) {
    digits.insert(source);
    words.insert(target);
    ++lengths[source.size()];
  }
  EXPECT_EQ(digits.size(), pairs.size());
  EXPECT_EQ(words.size(), pairs.size());
  EXPECT_EQ(lengths[1], 10);  // all there are
  EXPECT_EQ(lengths[2], 90);
  EXPECT_GT(lengths[11], 2'000);  // nine digits and two commas
  EXPECT_EQ(lengths.rbegin()->first, 11u);
  const auto fewer = number_pairs(100);
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), pairs.begin()));
}

TEST(NumberPairs, RefuseMoreThanThereShouldBe) {
  for (const std::int64_t count : {-1, 1'000'001}) {
    EXPECT_EQ(error_of<amp::InvalidArgument>([&] { number_pairs(count); }),
              "number_pairs: count must be 0 to 1000000, got " + std::to_string(count));
  }
  EXPECT_TRUE(number_pairs(0).empty());
}

}  // namespace
}  // namespace ampersand::tests::number_words_test
