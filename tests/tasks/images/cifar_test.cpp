// CIFAR-10's binary files: what is read, which files are found, and what each refusal says.
#include "tasks/images/cifar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "tests/tasks/images/cifar_files.h"

namespace ampersand::tests::cifar_test {
namespace {

constexpr const char* kVariable = "AMPERSAND_CIFAR_10";
constexpr const char* kCifarRemedy =
    "unpack the binary version of https://www.cs.toronto.edu/~kriz/cifar.html there, or set "
    "AMPERSAND_CIFAR_10 to the folder that holds it";

class CifarTest : public ::testing::Test {
 protected:
  CifarTest() { write_cifar(folder_, 5); }

  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  void remove(const std::string& name) const { std::filesystem::remove(path(name)); }
  std::string folder_refusal() const {
    return error_of([&] { load_cifar_folder(folder_.path()); });
  }
  // The message for a file of `bytes`, which begins with its path.
  std::string file_refusal(const Bytes& bytes) const {
    const auto file = folder_.write("file", bytes);
    const auto message = error_of([&] { load_cifar_files({file}); });
    EXPECT_TRUE(message.starts_with(file.string() + ": "));
    return message.substr(std::min(message.size(), file.string().size() + 2));
  }

  TemporaryFolder folder_;
};

// Every byte of a record differs from its neighbours, so that a shift by one would show.
TEST_F(CifarTest, ARecordIsALabelAndThreePlanes) {
  Bytes record = {7};
  for (int i = 0; i < 3072; ++i) record.push_back(static_cast<std::uint8_t>(i * 31 + i / 1024));
  const auto file = folder_.write("file", joined(cifar_record(3, 10, 20, 30), record));
  const ImageSet set = load_cifar_files({file});
  EXPECT_EQ(set.count, 2U);
  EXPECT_EQ(set.channels, 3U);
  EXPECT_EQ(set.height, 32U);
  EXPECT_EQ(set.width, 32U);
  EXPECT_EQ(set.classes, 10);
  EXPECT_EQ(set.labels, (Bytes{3, 7}));
  ASSERT_EQ(set.pixels.size(), 2 * 3072U);
  EXPECT_EQ(set.pixels[0], 10);
  EXPECT_EQ(set.pixels[1023], 10);
  EXPECT_EQ(set.pixels[1024], 20);
  EXPECT_EQ(set.pixels[3071], 30);
  EXPECT_EQ(Bytes(set.pixels.begin() + 3072, set.pixels.end()),
            Bytes(record.begin() + 1, record.end()));
}

TEST_F(CifarTest, LoadsAFolder) {
  const ImageData data = load_cifar_folder(folder_.path());
  EXPECT_EQ(data.name, folder_.path().filename().string());
  EXPECT_EQ(data.train.labels, (Bytes{1, 2, 3, 4, 5}));
  EXPECT_EQ(data.train.count, 5U);
  EXPECT_EQ(data.train.pixels[4 * 3072], 5);
  EXPECT_EQ(data.test.labels, (Bytes{8, 9}));
  EXPECT_EQ(data.test.pixels.back(), 6);
}

TEST_F(CifarTest, FilesMayBePacked) {
  folder_.write("data_batch_2.bin.gz", gzip_bytes(cifar_record(6, 0, 0, 0)));
  EXPECT_EQ(load_cifar_folder(folder_.path()).train.labels, (Bytes{1, 2, 3, 4, 5}));
  remove("data_batch_2.bin");
  EXPECT_EQ(load_cifar_folder(folder_.path()).train.labels, (Bytes{1, 6, 3, 4, 5}));
}

TEST_F(CifarTest, FilesMayBeInTheArchivesFolder) {
  const TemporaryFolder outer;
  std::filesystem::copy(folder_.path(), outer.path() / "cifar-10-batches-bin");
  const ImageData data = load_cifar_folder(outer.path());
  EXPECT_EQ(data.train.count, 5U);
  EXPECT_EQ(data.name, outer.path().filename().string());
}

TEST_F(CifarTest, FewerTrainingFilesWillDo) {
  remove("data_batch_5.bin");
  remove("data_batch_4.bin");
  EXPECT_EQ(load_cifar_folder(folder_.path()).train.labels, (Bytes{1, 2, 3}));
}

TEST_F(CifarTest, RefusesAGapInTheNumbers) {
  remove("data_batch_3.bin");
  EXPECT_EQ(folder_refusal(),
            folder_.path().string() +
                ": holds data_batch_4.bin but not data_batch_3.bin; the training files must be "
                "numbered without a gap, give --data a folder of CIFAR-10's binary files");
}

TEST_F(CifarTest, SaysWhichFileIsMissing) {
  const std::string end =
      ", plain or .gz, and found none; give --data a folder of CIFAR-10's binary files";
  remove("test_batch.bin");
  EXPECT_EQ(folder_refusal(), folder_.path().string() + ": looked for test_batch.bin" + end);
  remove("data_batch_1.bin");
  EXPECT_EQ(folder_refusal(), folder_.path().string() + ": looked for data_batch_1.bin" + end);
}

TEST_F(CifarTest, RefusesPartsOfRecords) {
  const Bytes record = cifar_record(0, 1, 2, 3);
  for (const std::size_t size : {1U, 3072U, 3074U, 6145U}) {
    Bytes bytes = joined(record, joined(record, record));
    bytes.resize(size);
    EXPECT_EQ(file_refusal(bytes),
              "size must be a multiple of 3073 bytes, a label and 3 x 32 x 32 pixels for each "
              "image, got " +
                  std::to_string(size) + "; fetch the file again");
  }
}

TEST_F(CifarTest, RefusesAnEmptyFile) {
  EXPECT_EQ(file_refusal({}), "holds no images; fetch the file again");
  EXPECT_EQ(file_refusal(gzip_bytes({})), "holds no images; fetch the file again");
}

TEST_F(CifarTest, RefusesALabelAboveNine) {
  EXPECT_EQ(file_refusal(joined(cifar_record(9, 0, 0, 0), cifar_record(10, 0, 0, 0))),
            "label 10 of image 1 must be below 10, the number of classes of CIFAR-10; give its "
            "binary files");
}

TEST_F(CifarTest, RefusesADamagedGzipFile) {
  Bytes packed = gzip_bytes(cifar_record(1, 2, 3, 4));
  packed.pop_back();
  EXPECT_EQ(file_refusal(packed), "truncated gzip stream after " + std::to_string(packed.size()) +
                                      " bytes; fetch the file again");
}

TEST_F(CifarTest, TheDataSetIsWhereTheVariableSays) {
  const ScopedVariable variable(kVariable, folder_.path().c_str());
  const ImageData data = load_cifar_10();
  EXPECT_EQ(data.name, "cifar-10");
  EXPECT_EQ(data.train.count, 5U);
}

TEST_F(CifarTest, TheDataSetIsInTheCacheOtherwise) {
  const TemporaryFolder home;
  const ScopedVariable unset(kVariable, "");
  const ScopedVariable home_variable("HOME", home.path().c_str());
  const auto put = [&](const std::filesystem::path& cache) {
    std::filesystem::create_directories(cache / "ampersand");
    std::filesystem::copy(folder_.path(), cache / "ampersand/cifar-10");
  };
  {
    const ScopedVariable cache("XDG_CACHE_HOME", path("cache").c_str());
    EXPECT_EQ(error_of([] { load_cifar_10(); }),
              path("cache/ampersand/cifar-10") + ": no such folder; " + kCifarRemedy);
    put(folder_.path() / "cache");
    EXPECT_EQ(load_cifar_10().train.count, 5U);
  }
  const ScopedVariable no_cache("XDG_CACHE_HOME", nullptr);
  EXPECT_EQ(
      error_of([] { load_cifar_10(); }),
      (home.path() / ".cache/ampersand/cifar-10").string() + ": no such folder; " + kCifarRemedy);
  std::filesystem::remove_all(folder_.path() / "cache");
  put(home.path() / ".cache");
  EXPECT_EQ(load_cifar_10().train.count, 5U);
}

TEST_F(CifarTest, TheDataSetIsNowhereWithoutVariables) {
  const ScopedVariable unset(kVariable, nullptr);
  const ScopedVariable no_cache("XDG_CACHE_HOME", nullptr);
  const ScopedVariable no_home("HOME", nullptr);
  EXPECT_EQ(error_of([] { load_cifar_10(); }),
            "cifar-10: no folder to look in: AMPERSAND_CIFAR_10, XDG_CACHE_HOME and HOME are "
            "unset; set AMPERSAND_CIFAR_10 to a folder with CIFAR-10's binary files");
}

}  // namespace
}  // namespace ampersand::tests::cifar_test
