// Image sets: which files are found, that they must belong together, slices, statistics, and the
// real Fashion-MNIST.
#include "tasks/images/image_set.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/tasks/images/idx_files.h"

namespace ampersand::tests::image_set_test {
namespace {

constexpr const char* kVariable = "AMPERSAND_FASHION_MNIST";

Bytes ramp(std::size_t count, std::uint8_t first = 0) {
  Bytes bytes(count);
  for (auto& byte : bytes) byte = first++;
  return bytes;
}

void expect_shape(const ImageSet& set, std::uint32_t count, std::uint32_t height,
                  std::uint32_t width, int classes) {
  EXPECT_EQ(set.count, count);
  EXPECT_EQ(set.height, height);
  EXPECT_EQ(set.width, width);
  EXPECT_EQ(set.classes, classes);
}

// A folder with a small good data set: 3 + 2 images of 2 x 4 pixels, 4 classes.
class ImageSetTest : public ::testing::Test {
 protected:
  ImageSetTest() {
    write("train-images-idx3-ubyte", {3, 2, 4}, ramp(24));
    write("train-labels-idx1-ubyte", {3}, {1, 3, 0});
    write("t10k-images-idx3-ubyte", {2, 2, 4}, ramp(16, 100));
    write("t10k-labels-idx1-ubyte", {2}, {2, 0});
  }

  std::filesystem::path write(const std::string& name, const std::vector<std::uint32_t>& shape,
                              const Bytes& values) const {
    return folder_.write(name, idx_bytes(shape, values));
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  void rename(const std::string& from, const std::string& to) const {
    std::filesystem::rename(path(from), path(to));
  }
  void remove(const std::string& name) const { std::filesystem::remove(path(name)); }
  std::string folder_refusal() const {
    return error_of([&] { load_idx_folder(folder_.path()); });
  }

  TemporaryFolder folder_;
};

TEST_F(ImageSetTest, LoadsOneSet) {
  const ImageSet set =
      load_image_set(path("train-images-idx3-ubyte"), path("train-labels-idx1-ubyte"));
  expect_shape(set, 3, 2, 4, 4);
  EXPECT_EQ(set.pixels, ramp(24));
  EXPECT_EQ(set.labels, (Bytes{1, 3, 0}));
}

TEST_F(ImageSetTest, ClassesAreTwoTo256) {
  const auto images = path("train-images-idx3-ubyte");
  EXPECT_EQ(load_image_set(images, write("labels", {3}, {0, 0, 0})).classes, 2);
  EXPECT_EQ(load_image_set(images, write("labels", {3}, {0, 2, 0})).classes, 3);
  EXPECT_EQ(load_image_set(images, write("labels", {3}, {255, 0, 0})).classes, 256);
}

TEST_F(ImageSetTest, RefusesOtherDimensions) {
  const auto images = path("train-images-idx3-ubyte");
  const auto labels = path("train-labels-idx1-ubyte");
  EXPECT_EQ(error_of([&] { load_image_set(labels, images); }),
            labels +
                ": images must have 3 dimension(s), got 1; check that images and labels are not "
                "swapped");
  EXPECT_EQ(error_of([&] { load_image_set(images, images); }),
            images +
                ": labels must have 1 dimension(s), got 3; check that images and labels are not "
                "swapped");
}

TEST_F(ImageSetTest, RefusesCountsThatDiffer) {
  const auto images = path("train-images-idx3-ubyte");
  const auto labels = path("t10k-labels-idx1-ubyte");
  EXPECT_EQ(
      error_of([&] { load_image_set(images, labels); }),
      images + ": holds 3 images, but " + labels + " holds 2 labels; give two files of one set");
}

TEST_F(ImageSetTest, RefusesAnEmptySet) {
  const auto images = write("images", {0, 2, 4}, {});
  const auto labels = write("labels", {0}, {});
  EXPECT_EQ(error_of([&] { load_image_set(images, labels); }),
            images.string() + ": holds no images; give a set with some");
}

TEST_F(ImageSetTest, RefusesImagesWithoutPixels) {
  const std::pair<std::uint32_t, std::uint32_t> sizes[] = {{0, 4}, {2, 0}, {0, 0}};
  for (const auto& [height, width] : sizes) {
    const auto images = write("images", {3, height, width}, {});
    EXPECT_EQ(error_of([&] { load_image_set(images, path("train-labels-idx1-ubyte")); }),
              images.string() + ": image height and width must be at least 1, got " +
                  std::to_string(height) + " x " + std::to_string(width) +
                  "; give images with pixels");
  }
}

TEST_F(ImageSetTest, LoadsAFolder) {
  const ImageData data = load_idx_folder(folder_.path());
  EXPECT_EQ(data.name, folder_.path().filename().string());
  EXPECT_EQ(data.train.labels, (Bytes{1, 3, 0}));
  EXPECT_EQ(data.train.pixels, ramp(24));
  EXPECT_EQ(data.test.labels, (Bytes{2, 0}));
  EXPECT_EQ(data.test.pixels, ramp(16, 100));
  EXPECT_EQ(data.test.classes, 4);  // as in the training half
}

TEST_F(ImageSetTest, TheNameIsTheFoldersLastPart) {
  const std::string name = folder_.path().filename().string();
  EXPECT_EQ(load_idx_folder(folder_.path() / "").name, name);
  EXPECT_EQ(load_idx_folder(folder_.path() / ".").name, name);
}

TEST_F(ImageSetTest, FindsTheOtherSpellings) {
  rename("train-images-idx3-ubyte", "train-images.idx3-ubyte");
  rename("train-labels-idx1-ubyte", "train-labels.idx1-ubyte");
  rename("t10k-images-idx3-ubyte", "test-images-idx3-ubyte");
  remove("t10k-labels-idx1-ubyte");
  folder_.write("test-labels.idx1-ubyte.gz", gzip_bytes(idx_bytes({2}, {3, 1})));
  const ImageData data = load_idx_folder(folder_.path());
  EXPECT_EQ(data.train.count, 3U);
  EXPECT_EQ(data.test.labels, (Bytes{3, 1}));
}

TEST_F(ImageSetTest, PrefersAPlainFile) {
  folder_.write("train-labels-idx1-ubyte.gz", gzip_bytes(idx_bytes({3}, {0, 0, 0})));
  rename("t10k-labels-idx1-ubyte", "test-labels.idx1-ubyte");
  folder_.write("t10k-labels-idx1-ubyte.gz", gzip_bytes(idx_bytes({2}, {0, 0})));
  const ImageData data = load_idx_folder(folder_.path());
  EXPECT_EQ(data.train.labels, (Bytes{1, 3, 0}));
  EXPECT_EQ(data.test.labels, (Bytes{2, 0}));
}

TEST_F(ImageSetTest, RefusesWhatIsNoFolder) {
  EXPECT_EQ(error_of([&] { load_idx_folder(path("missing")); }),
            path("missing") + ": no such folder; give --data a folder of IDX files");
  EXPECT_EQ(error_of([&] { load_idx_folder(path("train-images-idx3-ubyte")); }),
            path("train-images-idx3-ubyte") + ": not a folder; give --data a folder of IDX files");
}

TEST_F(ImageSetTest, SaysWhichFileIsMissing) {
  const std::pair<std::string, std::string> cases[] = {
      {"t10k-labels-idx1-ubyte",
       "t10k-labels-idx1-ubyte, t10k-labels.idx1-ubyte, test-labels-idx1-ubyte, "
       "test-labels.idx1-ubyte"},
      {"t10k-images-idx3-ubyte",
       "t10k-images-idx3-ubyte, t10k-images.idx3-ubyte, test-images-idx3-ubyte, "
       "test-images.idx3-ubyte"},
      {"train-labels-idx1-ubyte", "train-labels-idx1-ubyte, train-labels.idx1-ubyte"},
      {"train-images-idx3-ubyte", "train-images-idx3-ubyte, train-images.idx3-ubyte"}};
  for (const auto& [name, looked_for] : cases) {
    remove(name);
    EXPECT_EQ(folder_refusal(),
              folder_.path().string() + ": looked for " + looked_for +
                  ", plain or .gz, and found none; give --data a folder of IDX files");
  }
}

TEST_F(ImageSetTest, RefusesHalvesOfDifferentImageSize) {
  write("t10k-images-idx3-ubyte", {2, 4, 2}, ramp(16));
  EXPECT_EQ(folder_refusal(), path("t10k-images-idx3-ubyte") + ": images are 4 x 2, but those of " +
                                  path("train-images-idx3-ubyte") +
                                  " are 2 x 4; give two files of one data set");
  write("t10k-images-idx3-ubyte", {2, 2, 5}, ramp(20));
  EXPECT_NE(folder_refusal().find("images are 2 x 5, but"), std::string::npos);
}

TEST_F(ImageSetTest, RefusesATestLabelBeyondTheClasses) {
  write("t10k-labels-idx1-ubyte", {2}, {3, 4});
  EXPECT_EQ(folder_refusal(), path("t10k-labels-idx1-ubyte") +
                                  ": label 4 at index 1 must be below 4, the number of classes; "
                                  "give the labels of this data set");
}

TEST_F(ImageSetTest, ADamagedFileIsNamed) {
  folder_.write("t10k-labels-idx1-ubyte", {0x1f, 0x8b, 8});
  EXPECT_EQ(folder_refusal(), path("t10k-labels-idx1-ubyte") +
                                  ": truncated gzip stream after 3 bytes; fetch the file again");
}

TEST_F(ImageSetTest, FashionMnistHasTenClassesWhateverItsLabels) {
  const ScopedVariable variable(kVariable, folder_.path().c_str());
  const ImageData data = load_fashion_mnist();
  EXPECT_EQ(data.train.classes, 10);
  EXPECT_EQ(data.test.classes, 10);
}

TEST_F(ImageSetTest, FashionMnistRefusesLabelTenInEitherHalf) {
  const ScopedVariable variable(kVariable, folder_.path().c_str());
  const std::string end =
      " must be below 10, the number of classes; give the labels of this data set";
  write("t10k-labels-idx1-ubyte", {2}, {10, 9});
  EXPECT_EQ(error_of([] { load_fashion_mnist(); }),
            path("t10k-labels-idx1-ubyte") + ": label 10 at index 0" + end);
  write("train-labels-idx1-ubyte", {3}, {9, 9, 255});
  EXPECT_EQ(error_of([] { load_fashion_mnist(); }),
            path("train-labels-idx1-ubyte") + ": label 255 at index 2" + end);
}

TEST_F(ImageSetTest, FashionMnistSaysHowToGetIt) {
  const std::string remedy =
      "; correct AMPERSAND_FASHION_MNIST, install Debian's package dataset-fashion-mnist, or give "
      "--data a folder of IDX files";
  const std::string missing = path("missing");
  {
    const ScopedVariable variable(kVariable, missing.c_str());
    EXPECT_EQ(error_of([] { load_fashion_mnist(); }), missing + ": no such folder" + remedy);
  }
  remove("train-images-idx3-ubyte");
  const ScopedVariable variable(kVariable, folder_.path().c_str());
  EXPECT_EQ(error_of([] { load_fashion_mnist(); }),
            folder_.path().string() +
                ": looked for train-images-idx3-ubyte, train-images.idx3-ubyte, plain or .gz, and "
                "found none" +
                remedy);
}

TEST_F(ImageSetTest, TakesTheFirstImages) {
  const ImageData data = load_idx_folder(folder_.path());
  const ImageSet two = take_first(data.train, 2);
  expect_shape(two, 2, 2, 4, 4);
  EXPECT_EQ(two.pixels, ramp(16));
  EXPECT_EQ(two.labels, (Bytes{1, 3}));
  EXPECT_EQ(take_first(data.train, 3).pixels, data.train.pixels);
}

TEST_F(ImageSetTest, RefusesToTakeNoneOrTooMany) {
  const ImageSet set = load_idx_folder(folder_.path()).train;
  for (const std::uint32_t n : {0U, 4U, 0xffffffffU}) {
    EXPECT_EQ(error_of<amp::InvalidArgument>([&] { take_first(set, n); }),
              "take_first: n must be 1 to 3, the number of images, got " + std::to_string(n));
  }
}

TEST_F(ImageSetTest, RefusesASetThatContradictsItself) {
  ImageSet set = load_idx_folder(folder_.path()).train;
  set.pixels.pop_back();
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { take_first(set, 1); }),
            "take_first: a set of 3 images of 2 x 4 must hold as many labels and pixels, got 3 "
            "labels and 23 pixels");
  set.pixels.push_back(0);
  set.labels.push_back(0);
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { pixel_statistics(set); }),
            "pixel_statistics: a set of 3 images of 2 x 4 must hold as many labels and pixels, got "
            "4 labels and 24 pixels");
}

TEST(PixelStatistics, OfFewPixelsAndOfNone) {
  ImageSet set{.count = 2,
               .height = 1,
               .width = 2,
               .classes = 2,
               .pixels = {0, 255, 255, 0},
               .labels = {0, 1}};
  EXPECT_DOUBLE_EQ(pixel_statistics(set).at(0).mean, 0.5);
  EXPECT_DOUBLE_EQ(pixel_statistics(set).at(0).deviation, 0.5);
  set.pixels = {51, 51, 51, 51};
  EXPECT_DOUBLE_EQ(pixel_statistics(set).at(0).mean, 0.2);
  EXPECT_EQ(pixel_statistics(set).at(0).deviation, 0.0);
  set.pixels = {0, 0, 0, 255};  // deviation sqrt(1/4 - 1/16)
  EXPECT_DOUBLE_EQ(pixel_statistics(set).at(0).mean, 0.25);
  EXPECT_DOUBLE_EQ(pixel_statistics(set).at(0).deviation, 0.4330127018922193);
  EXPECT_EQ(error_of<amp::InvalidArgument>([] { pixel_statistics(ImageSet{}); }),
            "pixel_statistics: the set must hold at least one pixel, got none");
}

// Two images of three planes: 0 and 255, all 51, and 0 to 255 in the second image alone.
TEST(PixelStatistics, AreOfEachChannel) {
  const ImageSet set{.count = 2,
                     .channels = 3,
                     .height = 1,
                     .width = 2,
                     .classes = 2,
                     .pixels = {0, 255, 51, 51, 0, 0, 255, 0, 51, 51, 0, 255},
                     .labels = {0, 1}};
  const PixelStatistics statistics = pixel_statistics(set);
  ASSERT_EQ(statistics.size(), 3U);
  EXPECT_DOUBLE_EQ(statistics[0].mean, 0.5);
  EXPECT_DOUBLE_EQ(statistics[0].deviation, 0.5);
  EXPECT_DOUBLE_EQ(statistics[1].mean, 0.2);
  EXPECT_EQ(statistics[1].deviation, 0.0);
  EXPECT_DOUBLE_EQ(statistics[2].mean, 0.25);
  EXPECT_DOUBLE_EQ(statistics[2].deviation, 0.4330127018922193);
}

TEST(ColourImages, AreTakenWhole) {
  const ImageSet set{.count = 2,
                     .channels = 3,
                     .height = 1,
                     .width = 2,
                     .classes = 2,
                     .pixels = ramp(12),
                     .labels = {0, 1}};
  const ImageSet one = take_first(set, 1);
  expect_shape(one, 1, 1, 2, 2);
  EXPECT_EQ(one.channels, 3U);
  EXPECT_EQ(one.pixels, ramp(6));
  ImageSet wrong = set;
  wrong.channels = 2;
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { take_first(wrong, 1); }),
            "take_first: a set of 2 images of 2 x 1 x 2 must hold as many labels and pixels, got 2 "
            "labels and 12 pixels");
}

TEST(FashionMnist, IsTheRealDataSet) {
  const ScopedVariable unset(kVariable, nullptr);
  const ImageData data = load_fashion_mnist();
  EXPECT_EQ(data.name, "fashion-mnist");
  expect_shape(data.train, 60000, 28, 28, 10);
  expect_shape(data.test, 10000, 28, 28, 10);
  for (const ImageSet* set : {&data.train, &data.test}) {
    std::vector<std::uint32_t> per_class(10);
    for (const std::uint8_t label : set->labels) ++per_class.at(label);
    EXPECT_EQ(per_class, std::vector<std::uint32_t>(10, set->count / 10));
  }
  EXPECT_EQ(take_first(data.train, 5).labels, (Bytes{9, 0, 0, 3, 0}));
  const PixelStatistics statistics = pixel_statistics(data.train);
  ASSERT_EQ(statistics.size(), 1U);
  EXPECT_NEAR(statistics[0].mean, 0.2860, 5e-5);
  EXPECT_NEAR(statistics[0].deviation, 0.3530, 5e-5);
}

TEST(FashionMnist, AnEmptyVariableCountsAsUnset) {
  const ScopedVariable empty(kVariable, "");
  EXPECT_EQ(load_fashion_mnist().train.count, 60000U);
}

}  // namespace
}  // namespace ampersand::tests::image_set_test
