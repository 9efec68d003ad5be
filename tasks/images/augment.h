// Random crops and flips of images, the usual augmentation of small photographs.
#pragma once

#include <cstdint>
#include <span>

namespace ampersand {

// The border of black pixels that an image gets on each side before it is cropped to its own size.
inline constexpr std::uint32_t kCropPadding = 4;

// One crop: `top` and `left` are its corner in the padded image, 0 to 2 * kCropPadding, and the
// middle leaves the image where it is. The crop is mirrored left to right where `flipped`.
struct Crop {
  std::uint32_t top = kCropPadding;
  std::uint32_t left = kCropPadding;
  bool flipped = false;

  bool operator==(const Crop&) const = default;
};

// The crop of sample `index` of a set in an epoch. It depends on the three numbers alone, so it is
// the same for every batch size, order and number of threads. Each of the 81 corners and either
// flip has the same probability, to within 2^-27.
//
// Source: the index-th number of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable
// pseudorandom number generators"), begun at a state mixed from seed and epoch.
Crop random_crop(std::uint64_t seed, std::uint64_t epoch, std::uint64_t index);

// The shape of one image: `channels` planes of height x width bytes, row-major.
struct PlaneShape {
  std::uint32_t channels = 1;
  std::uint32_t height = 0;
  std::uint32_t width = 0;
};

// Writes the crop of `image` to `to`; both hold channels x height x width bytes and do not overlap.
// What the crop takes from outside the image is black (0).
//
// Source: torchvision, RandomCrop(padding=4) followed by RandomHorizontalFlip, on bytes.
void crop_image(std::span<const std::uint8_t> image, const PlaneShape& shape, const Crop& crop,
                std::span<std::uint8_t> to);

}  // namespace ampersand
