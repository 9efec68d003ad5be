// Random crops and flips of images.
#include "tasks/images/augment.h"

#include <algorithm>
#include <cstddef>

#include "tasks/common/split_mix.h"

namespace ampersand {
namespace {

// Numbers 0 to below - 1 from the low `bits` bits: multiplied, not divided, as Lemire does.
std::uint32_t below(std::uint32_t limit, std::uint64_t random, int bits) {
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  return static_cast<std::uint32_t>((random & mask) * limit >> bits);
}

}  // namespace

Crop random_crop(std::uint64_t seed, std::uint64_t epoch, std::uint64_t index) {
  const std::uint64_t random = random_number(epoch_state(seed, epoch), index);
  constexpr std::uint32_t corners = 2 * kCropPadding + 1;
  return {.top = below(corners, random, 32),
          .left = below(corners, random >> 32, 31),
          .flipped = random >> 63 != 0};
}

void crop_image(std::span<const std::uint8_t> image, const PlaneShape& shape, const Crop& crop,
                std::span<std::uint8_t> to) {
  // Pixel (y, x) of the crop is (y + down, x + right) of the image, where that has one.
  const auto height = static_cast<std::ptrdiff_t>(shape.height);
  const auto width = static_cast<std::ptrdiff_t>(shape.width);
  const auto down = static_cast<std::ptrdiff_t>(crop.top) - std::ptrdiff_t{kCropPadding};
  const auto right = static_cast<std::ptrdiff_t>(crop.left) - std::ptrdiff_t{kCropPadding};
  const auto begin = std::min(width, std::max<std::ptrdiff_t>(0, -right));
  const auto end = std::max(begin, std::min(width, width - right));
  const auto rows = height * static_cast<std::ptrdiff_t>(shape.channels);
  for (std::ptrdiff_t row = 0; row < rows; ++row) {
    std::uint8_t* const out = to.data() + row * width;
    const auto from = row % height + down;
    if (from < 0 || from >= height) {
      std::fill_n(out, width, std::uint8_t{0});
      continue;
    }
    const std::uint8_t* const in = image.data() + (row + down) * width;
    std::fill(out, out + begin, std::uint8_t{0});
    if (begin < end) std::copy(in + begin + right, in + end + right, out + begin);
    std::fill(out + end, out + width, std::uint8_t{0});
    if (crop.flipped) std::reverse(out, out + width);
  }
}

}  // namespace ampersand
