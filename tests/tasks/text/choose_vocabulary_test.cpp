// What a vocabulary is learned from where the text is long.
#include "tasks/text/choose_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ampersand::tests::choose_vocabulary_test {
namespace {

using testing::ElementsAre;
using Texts = std::vector<std::string_view>;

TEST(ChooseVocabulary, LearnsFromAllOfAShortText) {
  EXPECT_THAT(sample(Texts{"0123", "456789"}, 5, 2), ElementsAre("0123", "456789"));
  EXPECT_TRUE(sample(Texts{}, 5, 2).empty());
}

TEST(ChooseVocabulary, LearnsFromStretchesOfALongOne) {
  EXPECT_THAT(sample(Texts{"0123456789abcdef"}, 4, 2), ElementsAre("01", "45", "89", "cd"));
  EXPECT_THAT(sample(Texts{"0", "123", "4", "56789abcdef"}, 4, 2),
              ElementsAre("0", "4", "89", "cd"));  // a stretch ends with its text
  EXPECT_THAT(sample(Texts{"", "0123456789a"}, 2, 3), ElementsAre("012", "567"));
}

}  // namespace
}  // namespace ampersand::tests::choose_vocabulary_test
