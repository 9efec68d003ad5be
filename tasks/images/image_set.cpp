// Labelled image sets: finding the files, checking that they belong together, slicing, statistics.
#include "tasks/images/image_set.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <utility>

#include "amp/error.h"
#include "app/files/files.h"
#include "src/files/hash.h"
#include "tasks/images/idx.h"

namespace ampersand {
namespace {

constexpr const char* kFashionMnistFolder = "/usr/share/datasets/fashion-mnist";
constexpr int kFashionMnistClasses = 10;

// The four files of a data set.
struct ImageFiles {
  std::filesystem::path train_images;
  std::filesystem::path train_labels;
  std::filesystem::path test_images;
  std::filesystem::path test_labels;
};

std::string size_name(const ImageSet& set) {
  const auto size = std::to_string(set.height) + " x " + std::to_string(set.width);
  return set.channels == 1 ? size : std::to_string(set.channels) + " x " + size;
}

// HALF-KIND under its accepted names, for example "t10k" or "test" and "images", "idx3-ubyte".
std::vector<std::string> names_of(std::initializer_list<const char*> halves,
                                  const std::string& kind, const std::string& format) {
  std::vector<std::string> names;
  for (const std::string half : halves) {
    for (const char* separator : {"-", "."})
      names.push_back(half + "-" + kind + separator + format);
  }
  return names;
}

ImageFiles find_files(const std::filesystem::path& folder, const std::string& remedy) {
  check_folder(folder, remedy);
  const auto find = [&](std::initializer_list<const char*> halves, const char* kind,
                        const char* format) {
    return require_file(folder, names_of(halves, kind, format), remedy);
  };
  return {.train_images = find({"train"}, "images", "idx3-ubyte"),
          .train_labels = find({"train"}, "labels", "idx1-ubyte"),
          .test_images = find({"t10k", "test"}, "images", "idx3-ubyte"),
          .test_labels = find({"t10k", "test"}, "labels", "idx1-ubyte")};
}

void check_dimensions(const IdxArray& array, std::size_t dimensions, const std::string& what,
                      const std::filesystem::path& path) {
  if (array.shape.size() == dimensions) return;
  throw amp::IoError(path, what + " must have " + std::to_string(dimensions) +
                               " dimension(s), got " + std::to_string(array.shape.size()) +
                               "; check that images and labels are not swapped");
}

void check_labels(const ImageSet& set, const std::filesystem::path& path) {
  const auto wrong =
      std::ranges::find_if(set.labels, [&](int label) { return label >= set.classes; });
  if (wrong == set.labels.end()) return;
  throw amp::IoError(path, "label " + std::to_string(*wrong) + " at index " +
                               std::to_string(wrong - set.labels.begin()) + " must be below " +
                               std::to_string(set.classes) +
                               ", the number of classes; give the labels of this data set");
}

ImageData load_files(const ImageFiles& files, std::optional<int> classes) {
  ImageData data;
  data.train = load_image_set(files.train_images, files.train_labels);
  data.test = load_image_set(files.test_images, files.test_labels);
  if (data.train.height != data.test.height || data.train.width != data.test.width) {
    throw amp::IoError(files.test_images, "images are " + size_name(data.test) + ", but those of " +
                                              files.train_images.string() + " are " +
                                              size_name(data.train) +
                                              "; give two files of one data set");
  }
  if (classes) data.train.classes = *classes;
  data.test.classes = data.train.classes;
  check_labels(data.train, files.train_labels);
  check_labels(data.test, files.test_labels);
  return data;
}

// An ImageSet is an aggregate that anyone may fill: what reads it by its fields checks it first.
void check_sizes(const ImageSet& set, const std::string& who) {
  const std::size_t held = set.pixels.size();
  const bool pixels_fit =  // by division: the product of the 32-bit fields can overflow
      set.count == 0 || set.channels == 0
          ? held == 0
          : held % set.count == 0 && held / set.count % set.channels == 0 &&
                held / set.count / set.channels == std::size_t{set.height} * set.width;
  if (pixels_fit && set.labels.size() == set.count) return;
  throw amp::InvalidArgument(who + ": a set of " + std::to_string(set.count) + " images of " +
                             size_name(set) + " must hold as many labels and pixels, got " +
                             std::to_string(set.labels.size()) + " labels and " +
                             std::to_string(set.pixels.size()) + " pixels");
}

using Histogram = std::array<std::uint64_t, 256>;

ChannelStatistics statistics_of(const Histogram& histogram) {
  std::uint64_t sum = 0;
  std::uint64_t count = 0;
  for (std::size_t value = 0; value < histogram.size(); ++value) {
    sum += value * histogram[value];
    count += histogram[value];
  }
  const double mean = static_cast<double>(sum) / static_cast<double>(count);
  double squares = 0;  // around the mean: the difference of two large sums would cancel
  for (std::size_t value = 0; value < histogram.size(); ++value) {
    const double distance = static_cast<double>(value) - mean;
    squares += static_cast<double>(histogram[value]) * distance * distance;
  }
  return {.mean = mean / 255, .deviation = std::sqrt(squares / static_cast<double>(count)) / 255};
}

}  // namespace

ImageSet load_image_set(const std::filesystem::path& images_path,
                        const std::filesystem::path& labels_path) {
  IdxArray images = read_idx(images_path);
  check_dimensions(images, 3, "images", images_path);
  IdxArray labels = read_idx(labels_path);
  check_dimensions(labels, 1, "labels", labels_path);

  ImageSet set{.count = images.shape[0],
               .height = images.shape[1],
               .width = images.shape[2],
               .pixels = std::move(images.values),
               .labels = std::move(labels.values)};
  if (set.count != set.labels.size()) {
    throw amp::IoError(images_path, "holds " + std::to_string(set.count) + " images, but " +
                                        labels_path.string() + " holds " +
                                        std::to_string(set.labels.size()) +
                                        " labels; give two files of one set");
  }
  if (set.count == 0) throw amp::IoError(images_path, "holds no images; give a set with some");
  if (set.height == 0 || set.width == 0) {
    throw amp::IoError(images_path, "image height and width must be at least 1, got " +
                                        size_name(set) + "; give images with pixels");
  }
  set.classes = std::max(2, *std::ranges::max_element(set.labels) + 1);
  return set;
}

bool holds_idx(const std::filesystem::path& folder) {
  for (const char* half : {"train", "t10k", "test"}) {
    if (find_file(folder, names_of({half}, "images", "idx3-ubyte")) ||
        find_file(folder, names_of({half}, "labels", "idx1-ubyte"))) {
      return true;
    }
  }
  return false;
}

ImageData load_idx_folder(const std::filesystem::path& folder) {
  const auto files = find_files(folder, "give --data a folder of IDX files");
  ImageData data = load_files(files, std::nullopt);
  count_passed_over(folder,
                    {files.train_images, files.train_labels, files.test_images, files.test_labels});
  data.name = folder_name(folder);
  return data;
}

ImageData load_fashion_mnist() {
  const auto named = environment("AMPERSAND_FASHION_MNIST");
  const std::string remedy = std::string(named ? "correct AMPERSAND_FASHION_MNIST, " : "") +
                             "install Debian's package dataset-fashion-mnist, or give --data a "
                             "folder of IDX files";
  ImageData data =
      load_files(find_files(named.value_or(kFashionMnistFolder), remedy), kFashionMnistClasses);
  data.name = "fashion-mnist";
  return data;
}

ImageSet take_first(const ImageSet& set, std::uint32_t n) {
  check_sizes(set, "take_first");
  if (n < 1 || n > set.count) {
    throw amp::InvalidArgument("take_first: n must be 1 to " + std::to_string(set.count) +
                               ", the number of images, got " + std::to_string(n));
  }
  const auto pixels_end =
      set.pixels.begin() + static_cast<std::ptrdiff_t>(set.pixels.size() / set.count * n);
  return {.count = n,
          .channels = set.channels,
          .height = set.height,
          .width = set.width,
          .classes = set.classes,
          .pixels = {set.pixels.begin(), pixels_end},
          .labels = {set.labels.begin(), set.labels.begin() + n}};
}

ImageHashes hashes_of(const ImageSet& set) {
  amp::files::Hash images, labels;
  for (const std::uint32_t size : {set.count, set.channels, set.height, set.width})
    images.add(&size, sizeof size);
  images.add(set.pixels.data(), set.pixels.size());
  labels.add(set.labels.data(), set.labels.size());
  return {.images = images.hex(), .labels = labels.hex()};
}

PixelStatistics pixel_statistics(const ImageSet& set) {
  check_sizes(set, "pixel_statistics");
  if (set.pixels.empty()) {
    throw amp::InvalidArgument("pixel_statistics: the set must hold at least one pixel, got none");
  }
  const std::size_t plane = std::size_t{set.height} * set.width;
  std::vector<Histogram> histograms(set.channels);
  for (std::size_t i = 0; i < set.pixels.size(); i += plane) {
    Histogram& histogram = histograms[i / plane % set.channels];
    for (const std::uint8_t pixel : std::span(set.pixels).subspan(i, plane)) ++histogram[pixel];
  }
  PixelStatistics statistics;
  for (const Histogram& histogram : histograms) statistics.push_back(statistics_of(histogram));
  return statistics;
}

}  // namespace ampersand
