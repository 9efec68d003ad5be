// Text from files and folders: nothing is lost where it is cut, and bad text is refused.
#include "tasks/text/text_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "app/files/utf8.h"
#include "tests/app/errors.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::text_data_test {
namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;

std::string text_of(const TokenStream& stream, const Vocabulary& vocabulary) {
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(stream.size()));
  stream.read(0, tokens);
  return vocabulary.decode(tokens);
}

class TextDataTest : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_.path() / name).parent_path());
    return folder_.write(name, bytes_of(text));
  }
  // Where the held-out part of a file of this text begins.
  std::string held_out_of(const std::string& text, double share) const {
    const auto data = load_text(write("cut", text).string(), {.held_out = share});
    EXPECT_EQ(text_of(data.train, data.vocabulary) + text_of(data.test, data.vocabulary), text);
    EXPECT_EQ(data.train.bytes() + data.test.bytes(), std::ssize(text));
    return text_of(data.test, data.vocabulary);
  }
  std::string refusal(const std::string& what, const TextOptions& options = {}) const {
    return error_of([&] { load_text(what, options); });
  }

  TemporaryFolder folder_;
};

// Each part has a hash of its own bytes, whatever is taken of it and wherever blocks of 1 MiB end.
TEST_F(TextDataTest, PartsHaveHashes) {
  std::string text;
  for (int i = 0; text.size() < 3'000'000; ++i) text += "line " + std::to_string(i) + "\n";
  write("folder/a.txt", text);
  write("folder/b.txt", "\xef\xbb\xbf" + text);
  const auto folder = (folder_.path() / "folder").string();
  const auto data = load_text(folder);
  const auto few = load_text(folder, {.vocabulary = "bpe-300", .limit_train = 9, .limit_test = 9});
  EXPECT_EQ(few.train_hash, data.train_hash);
  EXPECT_EQ(few.test_hash, data.test_hash);
  const auto changed = [&](const std::string& name, std::size_t place) {
    auto other = text;
    other[place] ^= 1;
    write("folder/" + name, other);
    const auto now = load_text(folder);
    write("folder/" + name, text);
    return std::pair(now.train_hash != data.train_hash, now.test_hash != data.test_hash);
  };
  using Pair = std::pair<bool, bool>;
  EXPECT_EQ(changed("a.txt", 0), Pair(true, false));
  EXPECT_EQ(changed("b.txt", 0), Pair(true, false));
  // The held-out part begins at byte 5,400,000 or soon after it, in the block that ends with b.txt.
  EXPECT_EQ(changed("b.txt", 2'399'000), Pair(true, false));
  EXPECT_EQ(changed("b.txt", 2'401'000), Pair(false, true));
  EXPECT_EQ(changed("b.txt", text.size() - 2), Pair(false, true));
  // What more than 1,024 files hold is joined; a mark is no text there either.
  for (int i = 0; i < 1100; ++i) write("many/" + std::to_string(1000 + i), "\xef\xbb\xbfx\n");
  const auto many = load_text((folder_.path() / "many").string());
  EXPECT_EQ(many.train.bytes() + many.test.bytes(), 2200);
  write("many/1000", "y\n");
  const auto others = load_text((folder_.path() / "many").string());
  EXPECT_NE(others.train_hash, many.train_hash);
  EXPECT_EQ(others.test_hash, many.test_hash);
}

TEST_F(TextDataTest, CutsAtTheNextLine) {
  EXPECT_EQ(held_out_of("one\ntwo\nthree\nfour\n", 0.3), "four\n");  // 14 of 19 bytes: a border
  EXPECT_EQ(held_out_of("one\ntwo\nthree\nfour\n", 0.5), "four\n");  // 10: in "three"
  EXPECT_EQ(held_out_of("one\ntwo\nthree\nfour\n", 0.6), "three\nfour\n");  // 8: a border
}

TEST_F(TextDataTest, CutsBeforeTheLastLineOrCharacterWhereThereIsNoNext) {
  EXPECT_EQ(held_out_of("one\ntwo\nthree\nfour\n", 0.1), "four\n");
  EXPECT_EQ(held_out_of("one\ntwo", 0.2), "two");
  EXPECT_EQ(held_out_of("0123456789", 0.3), "789");
  EXPECT_EQ(held_out_of("0123456789\n", 0.3), "89\n");
  EXPECT_EQ(held_out_of("12345\U0001f600\U0001f600", 0.5), "\U0001f600");  // 7: in the first
}

TEST_F(TextDataTest, AMarkIsNoText) {
  const std::string mark = "\xef\xbb\xbf";
  write("marked/a.txt", mark + "one\n");
  write("marked/b.txt", mark);
  write("marked/c.txt", mark + "two\n");
  const auto data = load_text((folder_.path() / "marked").string(), {.held_out = 0.5});
  EXPECT_EQ(text_of(data.train, data.vocabulary), "one\n");
  EXPECT_EQ(text_of(data.test, data.vocabulary), "two\n");
}

TEST_F(TextDataTest, LosesNoByte) {
  for (const auto& part : hard_texts()) {
    const std::string text = std::string(without_mark(part)) + "end";
    for (const double share : {0.2, 0.5, 0.8}) held_out_of("ab" + text + "cd", share);
    for (const double share : {0.0, 1.0}) {
      EXPECT_EQ(held_out_of(text, share), share == 0 ? "" : text);
    }
  }
}

TEST_F(TextDataTest, ReadsAFolderInTheOrderOfItsPaths) {
  write("texts/b.txt", "second, no newline at its end");
  write("texts/a/z.txt", "first\n");
  write("texts/.hidden", "hidden\n");
  write("texts/empty", "");
  fs::create_symlink(folder_.path() / "texts/b.txt", folder_.path() / "texts/c-link");
  const auto what = (folder_.path() / "texts").string();
  const auto data = load_text(what, {.held_out = 0});
  EXPECT_EQ(data.name, "texts");
  EXPECT_TRUE(data.test.empty());
  EXPECT_EQ(text_of(data.train, data.vocabulary),
            "hidden\nfirst\nsecond, no newline at its endsecond, no newline at its end");
  // A file's end is a border, too; the cut of 15 of 71 bytes lies in b.txt.
  const auto cut = load_text(what, {.held_out = 0.78});
  EXPECT_EQ(text_of(cut.test, cut.vocabulary), "second, no newline at its end");
  const auto last = load_text(what, {.held_out = 0.1});
  EXPECT_EQ(text_of(last.test, last.vocabulary), "second, no newline at its end");
}

TEST_F(TextDataTest, ReadsFoldersOfMoreFilesThanItMaps) {
  std::string all;
  for (int k = 0; k < 1100; ++k) {
    const std::string text = "line " + std::to_string(k) + "\n";
    write("many/" + std::to_string(10'000 + k), text);
    all += text;
  }
  const auto data = load_text((folder_.path() / "many").string(), {.held_out = 0});
  EXPECT_EQ(text_of(data.train, data.vocabulary), all);
}

TEST_F(TextDataTest, LearnsBytePairsFromTheTrainingPartAlone) {
  std::string text;
  for (int k = 0; k < 9; ++k) text += "in the beginning\n";
  const auto path = write("text", text + "zebra zebra zebra\n").string();
  const auto data = load_text(path, {.vocabulary = "bpe-1000"});
  EXPECT_EQ(data.name, "text");
  EXPECT_EQ(data.vocabulary.fingerprint(), Vocabulary::train(text, 1000).fingerprint());
  EXPECT_EQ(text_of(data.train, data.vocabulary), text);
  EXPECT_EQ(data.test.size(), 18);  // no pair of it was learned
  EXPECT_EQ(data.test.bytes(), 18);
  EXPECT_EQ(data.train.bytes(), std::ssize(text));
  EXPECT_EQ(data.train.size(), 9 * 4);
}

TEST_F(TextDataTest, TakesAVocabularyThatIsThere) {
  const auto vocabulary = Vocabulary::train("low lower newest widest", 1000);
  const auto file = (folder_.path() / "vocabulary.json").string();
  vocabulary.save(file);
  const auto path = write("text", "low low\nest\n").string();
  const auto loaded = load_text(path, {.vocabulary = file, .held_out = 0.3});
  EXPECT_EQ(loaded.vocabulary.fingerprint(), vocabulary.fingerprint());
  const auto given = load_text(path, {.vocabulary = "bytes", .given = vocabulary, .held_out = 0.3});
  EXPECT_EQ(given.vocabulary.fingerprint(), vocabulary.fingerprint());
  EXPECT_EQ(given.test.size(), 2);  // est and the newline
}

TEST_F(TextDataTest, LimitsBothParts) {
  const auto path = write("text", "in the beginning\nwas the word\n").string();
  for (const char* vocabulary : {"bytes", "bpe-260"}) {
    const auto all = load_text(path, {.vocabulary = vocabulary, .held_out = 0.5});
    const auto data = load_text(
        path, {.vocabulary = vocabulary, .held_out = 0.5, .limit_train = 5, .limit_test = 3});
    EXPECT_EQ(data.train.size(), 5);
    EXPECT_EQ(data.test.size(), 3);
    EXPECT_EQ(data.train.bytes(), all.train.first(5).bytes());
    EXPECT_EQ(data.vocabulary.fingerprint(), all.vocabulary.fingerprint());
  }
}

TEST_F(TextDataTest, RefusesTextThatIsMissingOrEmpty) {
  EXPECT_EQ(refusal("/no/such"),
            "/no/such: no such file or folder; give kjv, a text file or a folder of them");
  const auto empty = write("empty", "").string();
  EXPECT_EQ(refusal(empty), empty + ": holds no text; give a text with some");
  const auto folder = (folder_.path() / "folder").string();
  fs::create_directory(folder);
  EXPECT_EQ(refusal(folder), folder + ": holds no text; give a text with some");
  const auto short_text = write("short", "a").string();
  EXPECT_EQ(refusal(short_text),
            short_text + ": too short to hold out 0.1 of it; give a longer text");
}

TEST_F(TextDataTest, RefusesWhatIsNotUtf8AndSaysWhere) {
  const auto latin = write("texts/latin", "plain text, then caf\xE9\n").string();
  const std::string message =
      latin +
      ": text must be UTF-8, got the byte 0xe9 at byte 20, where no character begins or one is cut "
      "short; convert the file (iconv -t UTF-8), or remove it";
  EXPECT_EQ(refusal(latin), message);
  write("texts/a", "in order");
  EXPECT_EQ(refusal((folder_.path() / "texts").string()), message);
  for (int k = 0; k < 1100; ++k) write("texts/b" + std::to_string(k), "many");
  EXPECT_EQ(refusal((folder_.path() / "texts").string()), message);
  // A character that two files share is whole in neither.
  write("halves/1", "\xC3");
  write("halves/2", "\xA9");
  EXPECT_THAT(refusal((folder_.path() / "halves").string()), HasSubstr("halves/1: text must be"));
}

TEST_F(TextDataTest, SkipsNothingOfAFolderInSilence) {
  write("texts/a", "text");
  const auto what = (folder_.path() / "texts").string();
  const auto odd = folder_.path() / "texts/odd";
  const std::string message = odd.string() +
                              ": a folder of text must hold files and folders only, not pipes, "
                              "sockets, links to folders or links to nothing; remove it";
  ASSERT_EQ(mkfifo(odd.c_str(), 0600), 0);
  EXPECT_EQ(refusal(what), message);
  fs::remove(odd);
  fs::create_symlink("/no/such", odd);
  EXPECT_EQ(refusal(what), message);
  fs::remove(odd);
  fs::create_directory_symlink(what, odd);
  EXPECT_EQ(refusal(what), message);
}

TEST_F(TextDataTest, RefusesOptionsOutOfRange) {
  const auto path = write("text", "one\ntwo\nthree\n").string();
  const auto invalid = [&](const TextOptions& options) {
    return error_of<amp::InvalidArgument>([&] { load_text(path, options); });
  };
  EXPECT_EQ(invalid({.held_out = 1.5}), "load_text: held_out must be 0 to 1, got 1.5");
  EXPECT_EQ(invalid({.held_out = -0.1}), "load_text: held_out must be 0 to 1, got -0.1");
  EXPECT_EQ(invalid({.limit_test = -3}),
            "load_text: a limit must be at least 0 (0: no limit), got -3");
  const std::string rule =
      "vocabulary: must be bytes, bpe-N (N tokens), a vocabulary's FILE.json, or a folder with "
      "GPT-2's vocab.json and merges.txt, got ";
  EXPECT_EQ(invalid({.vocabulary = "words"}), rule + "words");
  EXPECT_EQ(invalid({.vocabulary = "bpe-"}), rule + "bpe-");
  EXPECT_EQ(invalid({.vocabulary = "bpe-12x"}), rule + "bpe-12x");
  EXPECT_EQ(invalid({.vocabulary = "bpe-99999999999999999999"}), rule + "bpe-99999999999999999999");
  EXPECT_EQ(invalid({.vocabulary = ""}), rule + "nothing");
  EXPECT_THAT(invalid({.vocabulary = "bpe-256"}), EndsWith("must be 257 to 1048576, got 256"));
  EXPECT_THAT(invalid({.vocabulary = "bpe-300", .held_out = 1}),
              HasSubstr("no text to learn byte pairs from"));
  EXPECT_EQ(refusal(path, {.vocabulary = "/no/such.json"}), "/no/such.json: no such file");
}

TEST_F(TextDataTest, RefusesAContextLongerThanAPart) {
  const auto data = load_text(write("text", "0123456789\n01234\n").string(), {.held_out = 0.3});
  ASSERT_EQ(data.train.size(), 11);
  ASSERT_EQ(data.test.size(), 6);
  EXPECT_NO_THROW(check_context(data, 5));
  const auto refusal = [&](std::int64_t context) {
    return error_of<amp::InvalidArgument>([&] { check_context(data, context); });
  };
  const std::string remedy = "; give a longer text or a shorter context";
  EXPECT_EQ(refusal(6),
            "context: must be below the 6 tokens of the held-out part of text, got 6" + remedy);
  EXPECT_EQ(refusal(11),
            "context: must be below the 11 tokens of the training part of text, got 11" + remedy);
  EXPECT_EQ(refusal(0), "context: must be at least 1, got 0");
  const auto whole = load_text((folder_.path() / "text").string(), {.held_out = 0});
  EXPECT_NO_THROW(check_context(whole, 16));
}

}  // namespace
}  // namespace ampersand::tests::text_data_test
