// Labelled images for classification, and their loading from IDX files: MNIST, Fashion-MNIST and
// their kin.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace ampersand {

// `count` images with one label each. `pixels` is count x channels x height x width, row-major, so
// an image is one plane for each channel, 0 to 255; `labels` holds count values in [0, classes).
struct ImageSet {
  std::uint32_t count = 0;
  std::uint32_t channels = 1;
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  int classes = 0;
  std::vector<std::uint8_t> pixels = {};
  std::vector<std::uint8_t> labels = {};
};

// XXH3-128 of the pixels with their sizes, and of the labels.
struct ImageHashes {
  std::string images, labels;
};

// A data set: both halves have the same image size and the same number of classes.
struct ImageData {
  std::string name;
  ImageSet train;
  ImageSet test;
  ImageHashes train_hashes = {}, test_hashes = {};  // of the whole halves; empty: not asked for
};

// Mean and population standard deviation of one channel's pixels scaled to [0, 1].
struct ChannelStatistics {
  double mean = 0;
  double deviation = 0;
};

// One entry for each channel.
using PixelStatistics = std::vector<ChannelStatistics>;

// Loads one set from a 3-dimensional IDX file of images and a 1-dimensional one of labels, each
// plain or gzip. `classes` becomes the largest label + 1, and at least 2.
//
// Throws amp::IoError as read_idx does, and when a file has other dimensions, the set is empty, the
// images have no pixels, or the two counts differ.
ImageSet load_image_set(const std::filesystem::path& images_path,
                        const std::filesystem::path& labels_path);

// Loads both halves from a folder that holds train-images-idx3-ubyte, train-labels-idx1-ubyte,
// t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte. "test-" may stand for "t10k-", ".idx" for
// "-idx", and ".gz" may follow; a plain file is preferred over a packed one. `classes` is that of
// the training labels; the name is the folder's.
//
// Throws amp::IoError as load_image_set does, when the folder or a file is missing, when the image
// sizes of the halves differ, and for a test label that is not below `classes`.
ImageData load_idx_folder(const std::filesystem::path& folder);

// Whether `folder` holds any of the files that load_idx_folder looks for.
// Throws amp::IoError when the folder cannot be examined.
bool holds_idx(const std::filesystem::path& folder);

// Loads Fashion-MNIST (60000 + 10000 images of 28 x 28 pixels, 10 classes) from the folder that the
// environment variable AMPERSAND_FASHION_MNIST names, or, where that is unset or empty, from
// /usr/share/datasets/fashion-mnist, the place of Debian's package dataset-fashion-mnist.
//
// Throws amp::IoError as load_idx_folder does, and for any label above 9.
ImageData load_fashion_mnist();

// The first `n` images of `set`, 1 <= n <= set.count, with the same `classes`.
// Throws amp::InvalidArgument for another `n`, and for a set whose sizes disagree with its fields.
ImageSet take_first(const ImageSet& set, std::uint32_t n);

ImageHashes hashes_of(const ImageSet& set);

// Mean and deviation of each channel over all images of `set`. Pixels are counted per value in
// integers, so the result does not depend on the order of the images. Throws amp::InvalidArgument
// for an empty set, and one whose sizes disagree with its fields.
PixelStatistics pixel_statistics(const ImageSet& set);

}  // namespace ampersand
