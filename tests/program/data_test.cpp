// Data that cannot be trained on: each is refused in one line that names the file, with status 3,
// and before anything is written.
#include "tests/program/program.h"

namespace ampersand::tests::data_test {
namespace {

Bytes noise(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i * i);
  return bytes;
}

class Data : public ProgramTest {
 protected:
  Data() { write_small_data(); }

  std::string name(const std::string& file) const { return "data/" + file; }
  void write(const std::string& file, const Bytes& bytes) const {
    folder_.write(name(file), bytes);
  }
  Bytes bytes(const std::string& file) const {
    const auto text = text_of(path(name(file)));
    return Bytes(text.begin(), text.end());
  }

  // file: in the folder data, which the message names first.
  void expect_refused(const std::string& file, const std::string& part,
                      const Arguments& more = {}) const {
    const auto outcome = run(small("train", "results", more));
    expect_refusal_like(outcome, 3, "data/" + file + ": ", part);
    EXPECT_FALSE(std::filesystem::exists(path("results")));
  }

  // The images of the training set as a .gz file, in place of the plain one.
  Bytes pack_train_images() const {
    const auto packed = gzip_bytes(bytes("train-images-idx3-ubyte"));
    std::filesystem::remove(path(name("train-images-idx3-ubyte")));
    return packed;
  }
};

TEST_F(Data, OfAFolderAreTrainedOn) {
  write("train-images-idx3-ubyte.gz", pack_train_images());
  const auto outcome = run(small("train", "results"));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto settings = json_of(path("results/results.json"))["settings"];
  EXPECT_EQ(settings["train_samples"], 64);
  EXPECT_EQ(settings["test_samples"], 32);
}

TEST_F(Data, FolderMustExist) {
  expect_refusal(
      run({"train", "--data", "nowhere"}), 3,
      "nowhere: no such folder; give --data a folder of IDX files or of CIFAR-10's binary files");
  folder_.write("file", {1, 2, 3});
  expect_refusal(run({"train", "--data", "file"}), 2,
                 "--model cnn learns from images, and --data file has text; give --data "
                 "fashion-mnist, cifar-10 "
                 "or a folder of images, or --model gpt or lstm");
}

TEST_F(Data, MissingFashionMnistNamesThePackage) {
  expect_refusal(run({"train"}, {{"AMPERSAND_FASHION_MNIST", "nowhere"}}), 3,
                 "nowhere: no such folder; correct AMPERSAND_FASHION_MNIST, install Debian's "
                 "package dataset-fashion-mnist, or give --data a folder of IDX files");
}

TEST_F(Data, MissingFileIsNamed) {
  std::filesystem::remove(path(name("test-labels-idx1-ubyte")));
  expect_refusal(run(small("train", "results")), 3,
                 "data: looked for t10k-labels-idx1-ubyte, t10k-labels.idx1-ubyte, "
                 "test-labels-idx1-ubyte, test-labels.idx1-ubyte, plain or .gz, and found none; "
                 "give --data a folder of IDX files");
}

TEST_F(Data, TruncatedGzip) {
  auto packed = pack_train_images();
  packed.resize(packed.size() / 2);
  write("train-images-idx3-ubyte.gz", packed);
  expect_refused("train-images-idx3-ubyte.gz", "truncated gzip stream");
}

TEST_F(Data, CorruptGzip) {
  auto packed = pack_train_images();
  packed[packed.size() - 8] ^= 1;  // its checksum
  write("train-images-idx3-ubyte.gz", packed);
  expect_refused("train-images-idx3-ubyte.gz", "gzip checksum (CRC-32) does not match");
}

TEST_F(Data, WrongMagic) {
  auto images = bytes("train-images-idx3-ubyte");
  images[0] = 'P';
  write("train-images-idx3-ubyte", images);
  expect_refused("train-images-idx3-ubyte", "not an IDX file");
}

TEST_F(Data, FewerImagesThanPromised) {
  auto images = bytes("train-images-idx3-ubyte");
  images.pop_back();
  write("train-images-idx3-ubyte", images);
  expect_refused("train-images-idx3-ubyte",
                 "promises 64 x 8 x 8 = 4096 values, but the file "
                 "holds 4095");
}

TEST_F(Data, ImagesAndLabelsOfDifferentCounts) {
  write("train-labels-idx1-ubyte", idx_bytes({63}, Bytes(63, 1)));
  expect_refused("train-images-idx3-ubyte",
                 "holds 64 images, but data/train-labels-idx1-ubyte "
                 "holds 63 labels");
}

TEST_F(Data, LabelOutOfRange) {
  Bytes labels(32, 1);
  labels[5] = 4;  // the training set has the classes 0 to 3
  write("test-labels-idx1-ubyte", idx_bytes({32}, labels));
  expect_refused("test-labels-idx1-ubyte", "label 4 at index 5 must be below 4");
}

TEST_F(Data, EmptySet) {
  write("train-images-idx3-ubyte", idx_bytes({0, 8, 8}, {}));
  write("train-labels-idx1-ubyte", idx_bytes({0}, {}));
  expect_refused("train-images-idx3-ubyte", "holds no images");
}

TEST_F(Data, ImagesWithoutContrast) {
  write("train-images-idx3-ubyte", idx_bytes({64, 8, 8}, Bytes(64 * 64, 7)));
  expect_refusal_like(run(small("train", "results")), 3,
                      "data: ", "all pixels of the training images have the same value");
  EXPECT_FALSE(std::filesystem::exists(path("results")));
}

TEST_F(Data, ImagesTooSmallForTheModel) {
  write("train-images-idx3-ubyte", idx_bytes({64, 2, 32}, noise(64 * 64)));
  write("test-images-idx3-ubyte", idx_bytes({32, 2, 32}, noise(32 * 64)));
  expect_refusal(run(small("train", "results")), 2,
                 "model cnn: images must be at least 4 x 4 pixels, got 2 x 32");
  EXPECT_FALSE(std::filesystem::exists(path("results")));
}

TEST_F(Data, BatchLargerThanTheSet) {
  expect_refusal(run(small("train", "results", {"--train-samples", "15"})), 2,
                 "--batch-size 16 is larger than the 15 training images");
  EXPECT_EQ(run(small("train", "results", {"--train-samples", "16"})).status, 0);
}

}  // namespace
}  // namespace ampersand::tests::data_test
