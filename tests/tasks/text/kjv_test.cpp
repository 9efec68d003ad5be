// The King James Bible, whole and from wherever it comes.
#include "tasks/text/kjv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "tasks/text/text_data.h"
#include "tests/app/errors.h"
#include "tests/tasks/images/idx_files.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::kjv_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

class Kjv : public ::testing::Test {
 protected:
  fs::path cached() const { return folder_.path() / "ampersand/kjv.txt"; }

  TemporaryFolder folder_;
  ScopedVariable no_other_{"AMPERSAND_KJV", nullptr};
  ScopedVariable cache_{"XDG_CACHE_HOME", folder_.path().c_str()};
};

// 1,189 chapters and 31,102 verses, as every table of the Authorised Version counts them.
TEST_F(Kjv, IsTheWholeText) {
  const auto file = open_kjv();
  const std::string_view text = file.bytes();
  EXPECT_THAT(std::string(text.substr(0, 200)),
              StartsWith("Genesis 1\n\n  1 In the beginning God created the heaven and the earth.\n"
                         "  2 And the earth was without form, and void;"));
  EXPECT_TRUE(text.ends_with("\n  21 The grace of our Lord Jesus Christ be with you all. Amen.\n"));
  std::size_t verses = 0, chapters = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = text.find('\n', begin);
    const auto line = text.substr(begin, end - begin);
    if (line.starts_with("  ")) {
      ++verses;
    } else if (!line.empty()) {
      ++chapters;
    }
    begin = end + 1;
  }
  EXPECT_EQ(verses, 31'102u);
  EXPECT_EQ(chapters, 1'189u);
}

TEST_F(Kjv, IsPrintedOnceAndThenKept) {
  const std::string text(open_kjv().bytes());
  EXPECT_EQ(fs::file_size(cached()), text.size());
  const ScopedVariable no_programs("PATH", "/nowhere");
  EXPECT_EQ(open_kjv().bytes(), text);
}

TEST_F(Kjv, IsPrintedAnewWhereTheKeptOneIsDamaged) {
  fs::create_directories(cached().parent_path());
  std::ofstream(cached()) << "Genesis 1\nAmen.\n";
  EXPECT_GT(open_kjv().bytes().size(), 4'000'000u);
  EXPECT_GT(fs::file_size(cached()), 4'000'000u);
}

TEST_F(Kjv, DoesWithoutACacheFolder) {
  folder_.write("file", {});
  const ScopedVariable unwritable("XDG_CACHE_HOME", (folder_.path() / "file").c_str());
  EXPECT_GT(open_kjv().bytes().size(), 4'000'000u);
  const ScopedVariable none("XDG_CACHE_HOME", nullptr);
  const ScopedVariable no_home("HOME", nullptr);
  EXPECT_GT(open_kjv().bytes().size(), 4'000'000u);
}

TEST_F(Kjv, MayBeAnotherFile) {
  const auto path = folder_.write("other.txt", bytes_of("another\ntranslation\n"));
  const ScopedVariable other("AMPERSAND_KJV", path.c_str());
  const auto data = load_text("kjv", {.held_out = 0.5});
  EXPECT_EQ(data.name, "kjv");
  EXPECT_EQ(data.train.bytes() + data.test.bytes(), 20);
  const auto bad = folder_.write("bad.txt", {'a', 0xff});
  const ScopedVariable wrong("AMPERSAND_KJV", bad.c_str());
  EXPECT_THAT(error_of([] { load_text("kjv"); }),
              StartsWith(bad.string() + ": text must be UTF-8"));
}

TEST_F(Kjv, NamesThePackagesWhereTheyAreMissing) {
  const ScopedVariable no_programs("PATH", "/nowhere");
  EXPECT_EQ(error_of([] { load_text("kjv"); }),
            "kjv: the command bible must print the King James Bible, got 0 bytes; install Debian's "
            "packages bible-kjv and bible-kjv-text, or name a text file in AMPERSAND_KJV");
  EXPECT_FALSE(fs::exists(cached()));
}

}  // namespace
}  // namespace ampersand::tests::kjv_test
