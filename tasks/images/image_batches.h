// Images in batches, in an order that depends on the seed and the epoch alone.
#pragma once

#include <cstdint>
#include <vector>

#include "tasks/common/task_settings.h"
#include "tasks/images/image_set.h"

namespace ampersand {

struct ImageBatchOptions {
  std::int64_t batch_size = 128;
  c10::ScalarType dtype = c10::kFloat;  // Float, Half or BFloat16
  bool augment = false;                 // crop and flip at random: for training images only
  bool channels_last = false;           // images in c10::MemoryFormat::ChannelsLast
};

// Inputs: images [batch, channels, height, width] in the dtype asked for, normalised. Targets: labels
// [batch], int64.
class ImageBatches : public Batches {
 public:
  // set must outlive this. Pixels become ((pixel / 255) - mean) / deviation of their channel, in
  // fp32, then the dtype; those of a channel whose deviation is 0 become 0.
  //
  // Throws amp::InvalidArgument for a batch size below 1, another dtype, and statistics of another
  // number of channels.
  ImageBatches(const ImageSet& set, const PixelStatistics& statistics,
               const ImageBatchOptions& options);

  std::int64_t samples() const override { return static_cast<std::int64_t>(order_.size()); }
  std::int64_t batch_size() const override { return options_.batch_size; }

  // Shuffles for an epoch; Fisher-Yates on a 64-bit Mersenne twister, the same on every platform.
  // The augmentation becomes that of (seed, epoch), too; before the first call it is that of (0,
  // 0).
  void shuffle(std::uint64_t seed, std::uint64_t epoch) override;

  Batch get(std::int64_t i) const override;

 private:
  template <class Code>
  void fill(at::Tensor& images, std::int64_t begin) const;

  const ImageSet& set_;
  ImageBatchOptions options_;
  at::Tensor tables_;  // [channels, 256]: what each value of a pixel becomes, in the dtype
  std::vector<std::uint32_t> order_;
  std::uint64_t seed_ = 0, epoch_ = 0;
};

}  // namespace ampersand
