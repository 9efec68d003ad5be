// Images in batches, in an order that depends on the seed and the epoch alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "app/data/image_set.h"

namespace ampersand {

struct Batch {
  at::Tensor images;  // [batch, 1, height, width], in the dtype asked for, normalised
  at::Tensor labels;  // [batch], int64

  Batch to(c10::Device device) const { return {images.to(device), labels.to(device)}; }
};

class ImageBatches {
 public:
  // set must outlive this. Pixels become ((pixel / 255) - mean) / deviation, in fp32, then `dtype`.
  ImageBatches(const ImageSet& set, const PixelStatistics& statistics, std::int64_t batch_size,
               c10::ScalarType dtype);

  std::int64_t samples() const { return static_cast<std::int64_t>(order_.size()); }
  std::int64_t batches() const { return (samples() + batch_size_ - 1) / batch_size_; }

  // Shuffles for an epoch; Fisher-Yates on a 64-bit Mersenne twister, the same on every platform.
  void shuffle(std::uint64_t seed, std::uint64_t epoch);

  // The i-th batch; the last may be smaller.
  Batch get(std::int64_t i) const;

 private:
  const ImageSet& set_;
  PixelStatistics statistics_;
  std::int64_t batch_size_;
  c10::ScalarType dtype_;
  std::vector<std::uint32_t> order_;
};

}  // namespace ampersand
