// Images in batches.
#include "tasks/images/image_batches.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <numeric>
#include <span>
#include <string>
#include <utility>

#include "amp/error.h"
#include "tasks/images/augment.h"

namespace ampersand {
namespace {

void check(const ImageSet& set, const PixelStatistics& statistics,
           const ImageBatchOptions& options) {
  if (options.batch_size < 1) {
    throw amp::InvalidArgument("ImageBatches: batch_size must be at least 1, got " +
                               std::to_string(options.batch_size));
  }
  if (options.dtype != c10::kFloat && options.dtype != c10::kHalf &&
      options.dtype != c10::kBFloat16) {
    throw amp::InvalidArgument(
        std::string("ImageBatches: dtype must be Float, Half or BFloat16, got ") +
        c10::toString(options.dtype));
  }
  if (statistics.size() != set.channels) {
    throw amp::InvalidArgument("ImageBatches: statistics must be of " +
                               std::to_string(set.channels) + " channel(s), got " +
                               std::to_string(statistics.size()));
  }
}

// A pixel has 256 values: they are normalised and rounded once, here, and looked up ever after.
at::Tensor tables_of(const PixelStatistics& statistics, c10::ScalarType dtype) {
  std::vector<at::Tensor> tables;
  for (const auto& [mean, deviation] : statistics) {
    tables.push_back(deviation == 0
                         ? at::zeros({256}, c10::kFloat)
                         : at::arange(256, c10::kFloat).sub_(255 * mean).div_(255 * deviation));
  }
  return at::stack(tables).to(dtype);
}

}  // namespace

ImageBatches::ImageBatches(const ImageSet& set, const PixelStatistics& statistics,
                           const ImageBatchOptions& options)
    : set_(set), options_(options), order_(set.count) {
  check(set, statistics, options);
  tables_ = tables_of(statistics, options.dtype);
  std::iota(order_.begin(), order_.end(), 0u);
}

void ImageBatches::shuffle(std::uint64_t seed, std::uint64_t epoch) {
  seed_ = seed;
  epoch_ = epoch;
  order_ = amp::shuffled(samples(), seed, epoch);
}

// Code: an integer as wide as the dtype, since looking up only moves bits.
template <class Code>
void ImageBatches::fill(at::Tensor& images, std::int64_t begin) const {
  const std::size_t channels = set_.channels;
  const std::size_t plane = std::size_t{set_.height} * set_.width;
  // Channels-last puts the channels of a pixel side by side.
  const std::size_t pixel_step = options_.channels_last ? channels : 1;
  const std::size_t channel_step = options_.channels_last ? 1 : plane;
  const auto* const tables = static_cast<const Code*>(tables_.const_data_ptr());
  auto* to = static_cast<Code*>(images.mutable_data_ptr());
  std::vector<std::uint8_t> cropped(options_.augment ? channels * plane : 0);
  for (std::int64_t k = 0; k < images.size(0); ++k, to += channels * plane) {
    const std::uint32_t sample = order_[static_cast<std::size_t>(begin + k)];
    auto image = std::span(set_.pixels).subspan(sample * channels * plane, channels * plane);
    if (options_.augment) {
      crop_image(image, {set_.channels, set_.height, set_.width},
                 random_crop(seed_, epoch_, sample), cropped);
      image = cropped;
    }
    for (std::size_t channel = 0; channel < channels; ++channel) {
      const auto* const from = image.data() + channel * plane;
      const Code* const table = tables + channel * 256;
      Code* const out = to + channel * channel_step;
      for (std::size_t i = 0; i < plane; ++i) out[i * pixel_step] = table[from[i]];
    }
  }
}

Batch ImageBatches::get(std::int64_t i) const {
  const auto begin = i * options_.batch_size;
  const auto count = samples_of(i);
  auto images = at::empty(
      {count, set_.channels, set_.height, set_.width}, options_.dtype, std::nullopt, std::nullopt,
      std::nullopt,
      options_.channels_last ? c10::MemoryFormat::ChannelsLast : c10::MemoryFormat::Contiguous);
  if (options_.dtype == c10::kFloat) {
    fill<std::uint32_t>(images, begin);
  } else {
    fill<std::uint16_t>(images, begin);
  }
  auto labels = at::empty({count}, c10::kLong);
  auto* label = labels.mutable_data_ptr<std::int64_t>();
  for (std::int64_t k = 0; k < count; ++k)
    label[k] = set_.labels[order_[static_cast<std::size_t>(begin + k)]];
  return {{images}, {labels}};
}

}  // namespace ampersand
