// UTF-8: table 3-7 of the Unicode Standard, one byte at a time.
#include "app/files/utf8.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/app/errors.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::utf8_test {
namespace {

// Written from the definition of UTF-8, not from the table: decodes, and refuses what another
// encoding would write shorter, surrogates, and what is too large.
bool is_character(const std::string& bytes) {
  const auto first = static_cast<unsigned char>(bytes[0]);
  const std::size_t length = first < 0x80           ? 1
                             : (first >> 5) == 0x6  ? 2
                             : (first >> 4) == 0xe  ? 3
                             : (first >> 3) == 0x1e ? 4
                                                    : 0;
  if (length != bytes.size()) return false;
  if (length == 1) return true;
  std::uint32_t code = first & (0x7f >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if ((byte & 0xc0) != 0x80) return false;
    code = code << 6 | (byte & 0x3f);
  }
  const std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  return code >= least[length] && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
}

TEST(Utf8, KnowsEveryCharacterOfUpToTwoBytes) {
  for (int first = 0; first < 256; ++first) {
    const std::string one(1, static_cast<char>(first));
    EXPECT_EQ(!find_invalid_utf8(one), is_character(one)) << first;
    for (int second = 0x80; second < 256; ++second) {
      const std::string two = one + static_cast<char>(second);
      EXPECT_EQ(!find_invalid_utf8(two), is_character(two)) << first << " " << second;
    }
  }
}

TEST(Utf8, KnowsTheEdgesOfLongerCharacters) {
  const int edges[] = {0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0};
  for (int first = 0xe0; first < 256; ++first) {
    for (const int second : edges) {
      for (const int third : edges) {
        const std::string three = {static_cast<char>(first), static_cast<char>(second),
                                   static_cast<char>(third)};
        if (first < 0xf0) {
          EXPECT_EQ(!find_invalid_utf8(three), is_character(three));
        }
        for (const int fourth : edges) {
          const std::string four = three + static_cast<char>(fourth);
          if (first >= 0xf0) {
            EXPECT_EQ(!find_invalid_utf8(four), is_character(four));
          }
        }
      }
    }
  }
}

TEST(Utf8, FindsTheFirstWrongByte) {
  for (const auto& text : hard_texts()) EXPECT_EQ(find_invalid_utf8(text), std::nullopt);
  for (std::size_t place = 0; place < 40; ++place) {
    const std::string before(place, 'x');
    EXPECT_EQ(find_invalid_utf8(before + "\xFFyyyyyyyyyyyyyyyy"), place);
    EXPECT_EQ(find_invalid_utf8(before + "\xC3\xA9\xE2\x82"), place + 2);  // cut short
    EXPECT_EQ(find_invalid_utf8(before + "\xE2\x82zzzzzzzz\xFF"), place);  // before the other
  }
}

TEST(Utf8, SaysWhereAFileCeasesToBeText) {
  EXPECT_EQ(error_of([] { check_utf8("caf\xE9", "latin1.txt"); }),
            "latin1.txt: text must be UTF-8, got the byte 0xe9 at byte 3, where no character "
            "begins or one is cut short; convert the file (iconv -t UTF-8), or remove it");
}

TEST(Utf8, OtherBytesOfATextAreReplaced) {
  EXPECT_EQ(valid_utf8("plain \xc3\xa9"), "plain \xc3\xa9");
  EXPECT_EQ(valid_utf8("a\xff"
                       "b\xe2\x82"),
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(valid_utf8(""), "");
}

TEST(Utf8, NamesOfAnyBytesGoThereAndBack) {
  EXPECT_EQ(escaped_name("caf\xe9.txt"), "caf\\xe9.txt");
  EXPECT_EQ(escaped_name("caf\xc3\xa9.txt"), "caf\xc3\xa9.txt");
  EXPECT_EQ(escaped_name("a\\b"), "a\\b");
  EXPECT_EQ(escaped_name("a\\xe9"), "a\\x5cxe9");
  for (const std::string name : {"caf\xe9", "a\\xe9", "\\\\x41",
                                 "\\\xff"
                                 "x41",
                                 "\\x", "x\\", "\xff\xfe", "\\x5cxe9"})
    EXPECT_EQ(unescaped_name(escaped_name(name)), name);
  EXPECT_EQ(unescaped_name("\\xg1 \\x4"), "\\xg1 \\x4");
}

// Blocks end with a character, wherever the border lies in one.
TEST(Utf8, ALongTextIsCheckedInBlocks) {
  constexpr std::size_t kMiB = 1 << 20;
  for (std::size_t before = 0; before < 5; ++before) {
    const auto text =
        std::string(kMiB - before, 'a') + "\U0001f600\u6f22\u00e9" + std::string(2 * kMiB, 'b');
    std::string all;
    check_utf8(text, "x.txt", [&](std::string_view block) {
      EXPECT_LE(block.size(), kMiB);
      EXPECT_FALSE(find_invalid_utf8(block).has_value());
      all += block;
    });
    EXPECT_EQ(all, text);
    for (const std::string wrong : {"\x80", "\xf0\x9f\x98", "\x80\x80\x80\x80\x80\x80\x80\x80"}) {
      auto bad = text;
      bad.insert(kMiB - before, wrong);
      const auto place = find_invalid_utf8(bad);
      ASSERT_TRUE(place.has_value());
      EXPECT_NE(error_of([&] {
                  check_utf8(bad, "x.txt");
                }).find(" at byte " + std::to_string(*place) + ","),
                std::string::npos);
    }
  }
}

TEST(Utf8, AMessageIsOneLine) {
  EXPECT_EQ(readable_line("caf\xe9: no\nsuch \\xe9"), "caf\\xe9: no such \\xe9");
}

TEST(Utf8, WiderEncodingsAreRefusedByName) {
  const auto refusal = [](const std::string& bytes) {
    return error_of([&] { check_utf8(bytes, "x.txt"); });
  };
  const auto wide = [](const std::string& text, std::size_t before, std::size_t after) {
    std::string bytes;
    for (const char c : text) bytes += std::string(before, '\0') + c + std::string(after, '\0');
    return bytes;
  };
  const std::string text = "the cat sat on";
  const std::string zeros(2, '\0');
  const std::vector<std::pair<std::string, std::string>> encodings = {
      {"UTF-16LE", wide(text, 0, 1)},
      {"UTF-16BE", wide(text, 1, 0)},
      {"UTF-32LE", wide(text, 0, 3)},
      {"UTF-32BE", wide(text, 3, 0)},
      {"UTF-16LE", "\xff\xfe" + wide(text, 0, 1)},
      {"UTF-16BE", "\xfe\xff" + wide(text, 1, 0)},
      {"UTF-32LE", "\xff\xfe" + zeros + wide(text, 0, 3)},
      {"UTF-32BE", zeros + "\xfe\xff" + wide(text, 3, 0)}};
  for (const auto& [name, bytes] : encodings)
    EXPECT_EQ(refusal(bytes), "x.txt: text must be UTF-8, got " + name +
                                  "; convert the file (iconv -f " + name + " -t UTF-8)");
  check_utf8("\xef\xbb\xbfthe cat", "x.txt");
  check_utf8(std::string(64, '\0'), "x.txt");
  EXPECT_EQ(without_mark("\xef\xbb\xbfthe cat"), "the cat");
  EXPECT_EQ(without_mark("the \xef\xbb\xbf"), "the \xef\xbb\xbf");
}

}  // namespace
}  // namespace ampersand::tests::utf8_test
