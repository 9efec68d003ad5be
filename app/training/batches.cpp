// Images in batches.
#include "app/training/batches.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <utility>

namespace ampersand {

ImageBatches::ImageBatches(const ImageSet& set, const PixelStatistics& statistics,
                           std::int64_t batch_size, c10::ScalarType dtype)
    : set_(set),
      statistics_(statistics),
      batch_size_(batch_size),
      dtype_(dtype),
      order_(set.count) {
  std::iota(order_.begin(), order_.end(), 0u);
}

void ImageBatches::shuffle(std::uint64_t seed, std::uint64_t epoch) {
  std::iota(order_.begin(), order_.end(), 0u);
  std::seed_seq sequence{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                         static_cast<std::uint32_t>(epoch)};
  std::mt19937_64 generator(sequence);
  for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[generator() % i]);
}

Batch ImageBatches::get(std::int64_t i) const {
  const auto begin = i * batch_size_;
  const auto count = std::min(batch_size_, samples() - begin);
  const auto pixels = static_cast<std::size_t>(set_.height) * set_.width;
  auto bytes = at::empty({count, 1, set_.height, set_.width}, c10::kByte);
  auto labels = at::empty({count}, c10::kLong);
  auto* to = bytes.mutable_data_ptr<std::uint8_t>();
  auto* label = labels.mutable_data_ptr<std::int64_t>();
  for (std::int64_t k = 0; k < count; ++k) {
    const std::size_t from = order_[static_cast<std::size_t>(begin + k)];
    std::memcpy(to + static_cast<std::size_t>(k) * pixels, set_.pixels.data() + from * pixels,
                pixels);
    label[k] = set_.labels[from];
  }
  const auto images =
      bytes.to(c10::kFloat).sub_(255 * statistics_.mean).div_(255 * statistics_.deviation);
  return {images.to(dtype_), labels};
}

}  // namespace ampersand
