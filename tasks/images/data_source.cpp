// Finding the data set that `--data` names.
#include "tasks/images/data_source.h"

#include <algorithm>

#include "amp/error.h"
#include "tasks/images/cifar.h"
#include "tasks/images/image_folder.h"

namespace ampersand {
namespace {

ImageData load(const std::string& name) {
  if (name == "fashion-mnist") return load_fashion_mnist();
  if (name == "cifar-10") return load_cifar_10();
  return load_image_folder(name);
}

void keep_first(ImageSet& set, std::int64_t n) {
  if (n > 0 && n < set.count) set = take_first(set, static_cast<std::uint32_t>(n));
}

}  // namespace

ImageData load_data(const std::string& name, std::int64_t train_samples,
                    std::int64_t test_samples) {
  auto data = load(name);
  data.train_hashes = hashes_of(data.train);
  data.test_hashes = hashes_of(data.test);
  keep_first(data.train, train_samples);
  keep_first(data.test, test_samples);
  const auto statistics = pixel_statistics(data.train);
  const auto blank = [](const ChannelStatistics& channel) { return channel.deviation == 0; };
  if (std::all_of(statistics.begin(), statistics.end(), blank)) {
    throw amp::IoError(name,
                       "all pixels of the training images have the same value; nothing can be "
                       "learned from them, give other data");
  }
  return data;
}

}  // namespace ampersand
