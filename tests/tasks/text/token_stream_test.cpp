// Token streams: what is mapped from a file is what stands in memory.
#include "tasks/text/token_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/app/errors.h"
#include "tests/tasks/images/idx_files.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::token_stream_test {
namespace {

using Tokens = std::vector<std::int64_t>;
using testing::HasSubstr;

Tokens read(const TokenStream& stream, std::int64_t begin, std::int64_t count) {
  Tokens tokens(static_cast<std::size_t>(count));
  stream.read(begin, tokens);
  return tokens;
}

// Every stretch of the stream is that of `all`.
void expect_same(const TokenStream& stream, const Tokens& all) {
  ASSERT_EQ(stream.size(), std::ssize(all));
  for (std::int64_t begin = 0; begin <= stream.size(); ++begin) {
    for (const std::int64_t count : {0, 1, 2, 7, 50}) {
      if (begin + count > stream.size()) continue;
      EXPECT_EQ(read(stream, begin, count),
                Tokens(all.begin() + begin, all.begin() + begin + count));
    }
  }
}

Tokens widened(const std::vector<std::int32_t>& tokens) { return {tokens.begin(), tokens.end()}; }

TEST(TokenStream, ReadsBytesAcrossPieces) {
  const std::string whole = "in the beginning \xC3\xA9 was the word";
  const auto owner = std::make_shared<const std::string>(whole);
  const std::string_view text = *owner;
  const auto expected = widened(Vocabulary::bytes().encode(whole));
  expect_same(TokenStream::of_bytes({text}, owner), expected);
  expect_same(TokenStream::of_bytes({text.substr(0, 1), text.substr(1, 8), text.substr(9)}, owner),
              expected);
}

TEST(TokenStream, KeepsItsBytesAlive) {
  TokenStream stream;
  {
    TemporaryFolder folder;
    auto file = std::make_shared<const MappedFile>(folder.write("text", bytes_of("still there")));
    stream = TokenStream::of_bytes({file->bytes()}, file);
  }
  EXPECT_EQ(read(stream, 6, 5), (Tokens{'t', 'h', 'e', 'r', 'e'}));
}

TEST(TokenStream, ReadsEncodedWordsFromAFile) {
  std::string text;
  for (const auto& part : hard_texts()) text += part.substr(0, 60) + "\n";
  const auto vocabulary = Vocabulary::train(text, 400);
  const std::vector<std::string_view> pieces = {text};
  const auto stream = TokenStream::of_words(pieces, vocabulary);
  expect_same(stream, widened(vocabulary.encode(text)));
  EXPECT_EQ(stream.bytes(), std::ssize(text));
}

// Two bytes a token serve up to 65,536 of them; here are more, and the last is used.
TEST(TokenStream, ReadsTokensOfFourBytes) {
  std::vector<TokenPair> merges;
  for (std::int32_t left = 0; left < 256; ++left) {
    for (std::int32_t right = 'a'; right <= 255 && merges.size() < 65'300; ++right) {
      merges.emplace_back(left, right);
    }
  }
  for (std::int32_t token = 256; merges.size() < 65'300; ++token) merges.emplace_back(token, 'x');
  const auto vocabulary = Vocabulary::from_merges(merges);
  const auto last = vocabulary.bytes_of(vocabulary.size() - 1);
  ASSERT_GT(vocabulary.size(), 65'536);
  std::string text = "plain";
  const std::vector<std::string_view> pieces = {last, text};
  auto expected = widened(vocabulary.encode(last));
  for (const auto token : vocabulary.encode(text)) expected.push_back(token);
  const auto stream = TokenStream::of_words(pieces, vocabulary);
  EXPECT_EQ(read(stream, 0, 1), (Tokens{vocabulary.size() - 1}));
  expect_same(stream, expected);
}

TEST(TokenStream, CountsTheBytesThatTokensStandFor) {
  const auto vocabulary = Vocabulary::train("low lower newest widest", 1000);
  const std::string text = "lowest slow";  // low, est, " ", s, low
  const std::vector<std::string_view> pieces = {text};
  const auto stream = TokenStream::of_words(pieces, vocabulary);
  ASSERT_EQ(stream.size(), 5);
  EXPECT_EQ(stream.bytes(), 11);
  EXPECT_EQ(stream.bytes(0, 2), 6);
  EXPECT_EQ(stream.bytes(2, 3), 5);
  EXPECT_EQ(stream.bytes(5, 0), 0);
  EXPECT_EQ(stream.first(2).bytes(), 6);
  EXPECT_EQ(stream.first(2).size(), 2);
  EXPECT_EQ(stream.first(9).size(), 5);
  EXPECT_EQ(stream.first(0).size(), 0);
  EXPECT_TRUE(stream.first(0).empty());
}

TEST(TokenStream, StopsEncodingAtItsLimit) {
  std::string text;
  for (int k = 0; k < 50'000; ++k) text += "one more ";
  const auto vocabulary = Vocabulary::train("one more one more", 300);
  const std::vector<std::string_view> pieces = {text, text};
  for (const std::int64_t limit : {1, 5, 20'000, 150'000}) {
    const auto stream = TokenStream::of_words(pieces, vocabulary, limit);
    const auto all = TokenStream::of_words(pieces, vocabulary);
    EXPECT_EQ(stream.size(), limit);
    EXPECT_EQ(stream.bytes(), all.first(limit).bytes());
    EXPECT_EQ(read(stream, 0, limit), read(all, 0, limit));
  }
}

TEST(TokenStream, OfNothingIsEmpty) {
  EXPECT_TRUE(TokenStream().empty());
  EXPECT_EQ(TokenStream().bytes(), 0);
  EXPECT_EQ(read(TokenStream(), 0, 0), Tokens());
  EXPECT_TRUE(TokenStream::of_bytes({}, nullptr).empty());
  EXPECT_TRUE(TokenStream::of_words({}, Vocabulary::from_merges({})).empty());
}

TEST(TokenStream, RefusesToReadOutside) {
  const auto owner = std::make_shared<const std::string>("0123456789");
  const auto stream = TokenStream::of_bytes({*owner}, owner);
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { read(stream, 8, 3); }),
            "TokenStream: what is read must lie in its 10 tokens, got 3 from 8");
  for (const std::int64_t begin : {std::int64_t{-1}, std::int64_t{11}, INT64_MAX, INT64_MIN}) {
    EXPECT_THAT(error_of<amp::InvalidArgument>([&] { read(stream, begin, 1); }),
                HasSubstr("must lie in its 10 tokens"));
  }
  EXPECT_THAT(error_of<amp::InvalidArgument>([&] { (void)stream.bytes(0, INT64_MAX); }),
              HasSubstr("must lie in its 10 tokens"));
  EXPECT_THAT(error_of<amp::InvalidArgument>([&] { (void)stream.first(-1); }), HasSubstr("got -1"));
}

TEST(TokenStream, SaysWhereNoTemporaryFileCanBeMade) {
  const ScopedVariable no_folder("TMPDIR", "/nowhere/at/all");
  const std::vector<std::string_view> pieces = {"text"};
  EXPECT_EQ(error_of([&] { TokenStream::of_words(pieces, Vocabulary::from_merges({})); }),
            "/nowhere/at/all: a temporary file cannot be made here: No such file or directory");
}

}  // namespace
}  // namespace ampersand::tests::token_stream_test
