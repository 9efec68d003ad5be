// A mapped file that is shortened while it is read.
#include "app/files/mappings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "app/files/mapped_file.h"
#include "tests/support/temporary_folder.h"

namespace ampersand::tests::mappings_test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSize = 1 << 20;

// What was lost stays lost for the process, so each case runs in one of its own and says what it saw.
template <typename Work>
void expect_lost(Work&& work, const char* message) {
  EXPECT_EXIT(
      {
        try {
          work();
        } catch (const LostData& error) {
          std::fprintf(stderr, "%s\n", error.what());
          std::exit(3);
        }
        std::exit(0);
      },
      ::testing::ExitedWithCode(3), message);
}

class Mappings : public ::testing::Test {
 protected:
  Mappings() : path_(folder_.write("text.txt", Bytes(kSize, 'a'))) {}

  std::size_t letters(const MappedFile& file) const {
    return static_cast<std::size_t>(std::ranges::count(file.bytes(), 'a'));
  }

  TemporaryFolder folder_;
  fs::path path_;
};

TEST_F(Mappings, AFileAsItWasIsFine) {
  const MappedFile file(path_);
  check_mappings();
  EXPECT_EQ(letters(file), kSize);
  fs::resize_file(path_, 2 * kSize);  // a text that grows
  EXPECT_NO_THROW(check_mappings());
}

TEST_F(Mappings, WhatIsGoneReadsAsZerosAndIsTold) {
  expect_lost(
      [&] {
        const MappedFile file(path_);
        fs::resize_file(path_, 8192);
        if (letters(file) != 8192) std::exit(1);
        check_mappings();
      },
      "text.txt: was shortened from 1048576 to 8192 bytes while it was read; restore it and begin "
      "again");
}

TEST_F(Mappings, BytesOfTheLastPageAreMissedToo) {
  expect_lost(
      [&] {
        const MappedFile file(path_);
        fs::resize_file(path_, kSize - 1);  // nothing that the system would complain of
        check_mappings();
      },
      "from 1048576 to 1048575 bytes");
}

TEST_F(Mappings, AFileThatWasClosedSinceIsToldOf) {
  expect_lost(
      [&] {
        {
          const MappedFile file(path_);
          fs::resize_file(path_, 0);
          if (letters(file) != 0) std::exit(1);
        }
        check_mappings();
      },
      "from 1048576 to 0 bytes");
}

TEST_F(Mappings, AFileThatIsRemovedAfterwardsIsToldOf) {
  expect_lost(
      [&] {
        const MappedFile file(path_);
        fs::resize_file(path_, 0);
        fs::remove(path_);
        if (letters(file) != 0) std::exit(1);
        check_mappings();
      },
      "text.txt: could not be read to its end");
}

TEST_F(Mappings, ANewFileOfTheNameIsAnotherFile) {
  const MappedFile file(path_);
  fs::remove(path_);
  folder_.write("text.txt", Bytes(5));
  EXPECT_NO_THROW(check_mappings());
  EXPECT_EQ(letters(file), kSize);
}

TEST_F(Mappings, OneOfManyIsFound) {
  expect_lost(
      [&] {
        std::vector<MappedFile> files;
        for (int i = 0; i < 100; ++i)
          files.emplace_back(folder_.write(std::to_string(i), Bytes(100)));
        fs::resize_file(folder_.path() / "77", 50);
        for (int i = 0; i < 7; ++i) check_mappings();
      },
      "77: was shortened from 100 to 50 bytes");
}

TEST_F(Mappings, OtherBusErrorsEndTheProcess) {
  EXPECT_EXIT(
      {
        const MappedFile file(path_);
        std::raise(SIGBUS);
        std::raise(SIGBUS);
      },
      ::testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace ampersand::tests::mappings_test
