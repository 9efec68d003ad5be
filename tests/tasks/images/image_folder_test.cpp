// Folders of images: the format is known by the files that are there.
#include "tasks/images/image_folder.h"

#include <gtest/gtest.h>

#include "tests/tasks/images/cifar_files.h"

namespace ampersand::tests::image_folder_test {
namespace {

void write_idx(const TemporaryFolder& folder) {
  folder.write("train-images-idx3-ubyte", idx_bytes({2, 1, 2}, {0, 1, 2, 3}));
  folder.write("train-labels-idx1-ubyte", idx_bytes({2}, {0, 1}));
  folder.write("t10k-images-idx3-ubyte", idx_bytes({1, 1, 2}, {4, 5}));
  folder.write("t10k-labels-idx1-ubyte", idx_bytes({1}, {1}));
}

TEST(ImageFolder, IsOfIdxFiles) {
  const TemporaryFolder folder;
  write_idx(folder);
  const ImageData data = load_image_folder(folder.path());
  EXPECT_EQ(data.train.channels, 1U);
  EXPECT_EQ(data.train.pixels, (Bytes{0, 1, 2, 3}));
}

TEST(ImageFolder, TakesNamesInAnyCaseAndCountsTheRest) {
  const TemporaryFolder folder;
  write_idx(folder);
  std::filesystem::rename(folder.path() / "train-images-idx3-ubyte",
                          folder.path() / "TRAIN-IMAGES.IDX3-UBYTE");
  folder.write("cat.png", {1});
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(load_image_folder(folder.path()).train.count, 2U);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "ampersand: " + folder.path().string() +
                ": passed over 1 file that is not of the data set, cat.png\n");
}

TEST(ImageFolder, IsOfCifarFiles) {
  const TemporaryFolder folder;
  write_cifar(folder, 2);
  EXPECT_EQ(load_image_folder(folder.path()).train.count, 2U);
  const TemporaryFolder outer;
  std::filesystem::copy(folder.path(), outer.path() / "cifar-10-batches-bin");
  EXPECT_EQ(load_image_folder(outer.path()).train.channels, 3U);
}

TEST(ImageFolder, PrefersIdxFiles) {
  const TemporaryFolder folder;
  write_cifar(folder, 2);
  write_idx(folder);
  EXPECT_EQ(load_image_folder(folder.path()).train.channels, 1U);
}

// One file tells the format; the message is then about what that format lacks.
TEST(ImageFolder, NamesTheMissingFileOfTheFormatThatIsThere) {
  const TemporaryFolder folder;
  folder.write("test_batch.bin", cifar_record(0, 0, 0, 0));
  EXPECT_EQ(error_of([&] { load_image_folder(folder.path()); }),
            folder.path().string() +
                ": looked for data_batch_1.bin, plain or .gz, and found none; give --data a folder "
                "of CIFAR-10's binary files");
  folder.write("test-labels.idx1-ubyte.gz", gzip_bytes(idx_bytes({1}, {0})));
  EXPECT_EQ(error_of([&] { load_image_folder(folder.path()); }),
            folder.path().string() +
                ": looked for train-images-idx3-ubyte, train-images.idx3-ubyte, plain or .gz, and "
                "found none; give --data a folder of IDX files");
}

TEST(ImageFolder, SaysWhatItLookedFor) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of([&] { load_image_folder(folder.path()); }),
            folder.path().string() +
                ": looked for IDX files (train-images-idx3-ubyte and its three companions) and for "
                "CIFAR-10's binary files (data_batch_1.bin, test_batch.bin), plain or .gz, and "
                "found neither; give --data a folder of either");
  const auto missing = folder.path() / "missing";
  EXPECT_EQ(
      error_of([&] { load_image_folder(missing); }),
      missing.string() +
          ": no such folder; give --data a folder of IDX files or of CIFAR-10's binary files");
}

}  // namespace
}  // namespace ampersand::tests::image_folder_test
