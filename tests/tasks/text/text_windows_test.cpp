// Windows of a text: where they lie, what they hold, and that no two overlap.
#include "tasks/text/text_windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/app/errors.h"

namespace ampersand::tests::text_windows_test {
namespace {

using Places = std::vector<std::int64_t>;
using testing::ElementsAre;

Places begins(const TextWindows& windows) {
  Places places;
  for (std::int64_t i = 0; i < windows.size(); ++i) places.push_back(windows.begin(i));
  return places;
}

TokenStream stream_of(const std::string& text) {
  const auto owner = std::make_shared<const std::string>(text);
  return TokenStream::of_bytes({*owner}, owner);
}

TEST(TextWindows, GoThroughATextInItsOrder) {
  EXPECT_THAT(begins(TextWindows(13, 4)), ElementsAre(0, 4, 8));
  EXPECT_THAT(begins(TextWindows(12, 4)), ElementsAre(0, 4));  // the last has no next token
  EXPECT_THAT(begins(TextWindows(5, 4)), ElementsAre(0));
  EXPECT_THAT(begins(TextWindows(3, 1)), ElementsAre(0, 1));
}

TEST(TextWindows, ShuffledOnesStayApartAndInside) {
  for (std::int64_t tokens = 2; tokens < 60; ++tokens) {
    for (std::int64_t context = 1; context < tokens; ++context) {
      for (std::uint64_t epoch = 0; epoch < 4; ++epoch) {
        const TextWindows windows(tokens, context, 11, epoch);
        EXPECT_EQ(windows.size(), std::max<std::int64_t>(1, (tokens - context) / context));
        Places places = begins(windows);
        std::ranges::sort(places);
        EXPECT_GE(places.front(), 0);
        EXPECT_LT(places.front(), context);
        EXPECT_LE(places.back() + context + 1, tokens);
        for (std::size_t k = 1; k < places.size(); ++k) {
          EXPECT_EQ(places[k] - places[k - 1], context);
        }
      }
    }
  }
}

// From tests/tasks/common/make_window_order.py, which computes them without any C++.
TEST(TextWindows, BeginWhereSeedAndEpochSay) {
  const auto offset = [](std::int64_t tokens, std::uint64_t seed, std::uint64_t epoch) {
    return std::ranges::min(begins(TextWindows(tokens, 64, seed, epoch)));
  };
  EXPECT_EQ(offset(1000, 0, 0), 1);
  EXPECT_EQ(offset(1000, 0, 1), 18);
  EXPECT_EQ(offset(1000, 5, 0), 14);
  EXPECT_EQ(offset(70, 0, 3), 4);
  EXPECT_EQ(offset(65, 0, 0), 0);
}

TEST(TextWindows, EveryBorderIsDrawnInTheEnd) {
  std::set<std::int64_t> offsets;
  for (std::uint64_t epoch = 0; epoch < 200; ++epoch) {
    offsets.insert(std::ranges::min(begins(TextWindows(100, 8, 0, epoch))));
  }
  EXPECT_THAT(offsets, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST(TextWindows, HoldATokenAndTheOneAfterIt) {
  const auto stream = stream_of("abcdefghij");
  const TextWindows windows(stream.size(), 3);
  Places inputs(3), targets(3);
  read_window(stream, windows, 1, inputs, targets);
  EXPECT_THAT(inputs, ElementsAre('d', 'e', 'f'));
  EXPECT_THAT(targets, ElementsAre('e', 'f', 'g'));
  read_window(stream, windows, 2, inputs, targets);
  EXPECT_THAT(targets, ElementsAre('h', 'i', 'j'));
}

TEST(TextWindows, RefusesWhatDoesNotFit) {
  EXPECT_EQ(error_of<amp::InvalidArgument>([] { TextWindows(10, 0); }),
            "TextWindows: context must be at least 1 and below the 10 tokens of the text, got 0");
  EXPECT_EQ(error_of<amp::InvalidArgument>([] { TextWindows(10, 10); }),
            "TextWindows: context must be at least 1 and below the 10 tokens of the text, got 10");
  EXPECT_EQ(error_of<amp::InvalidArgument>([] { TextWindows(0, 1, 0, 0); }),
            "TextWindows: context must be at least 1 and below the 0 tokens of the text, got 1");
  const auto stream = stream_of("abcdefghij");
  const TextWindows windows(stream.size(), 3);
  Places three(3), four(4);
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { read_window(stream, windows, 3, three, three); }),
            "TextWindows: a window must be 0 to 2, got 3");
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { read_window(stream, windows, -1, three, three); }),
            "TextWindows: a window must be 0 to 2, got -1");
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { read_window(stream, windows, 0, three, four); }),
            "read_window: inputs and targets must hold 3 tokens, got 3 and 4");
}

}  // namespace
}  // namespace ampersand::tests::text_windows_test
