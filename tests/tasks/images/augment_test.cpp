// Random crops: their numbers, how they are spread, and every pixel of what they show.
#include "tasks/images/augment.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>
#include <vector>

namespace ampersand::tests::augment_test {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<Crop> crops(std::uint64_t seed, std::uint64_t epoch) {
  std::vector<Crop> all;
  for (const std::uint64_t index : {0U, 1U, 2U, 3U, 999U})
    all.push_back(random_crop(seed, epoch, index));
  return all;
}

// From tests/tasks/images/make_crops.py, which computes them without any C++.
TEST(RandomCrop, DependsOnSeedEpochAndIndexAlone) {
  EXPECT_EQ(
      crops(0, 0),
      (std::vector<Crop>{{2, 2, false}, {6, 8, true}, {5, 5, false}, {3, 7, true}, {4, 7, true}}));
  EXPECT_EQ(
      crops(0, 1),
      (std::vector<Crop>{{0, 3, false}, {5, 2, true}, {5, 8, false}, {1, 8, true}, {3, 5, true}}));
  EXPECT_EQ(
      crops(1, 0),
      (std::vector<Crop>{{3, 3, true}, {4, 8, true}, {2, 7, false}, {4, 5, true}, {8, 5, true}}));
  EXPECT_EQ(crops(~std::uint64_t{0}, 3),
            (std::vector<Crop>{
                {6, 1, false}, {3, 4, false}, {1, 2, false}, {6, 2, false}, {8, 3, false}}));
}

// Chi-square over 81 corners x 2 flips; with 161 degrees of freedom 250 is exceeded by chance once
// in 100,000. Once over the samples of an epoch, and once over the epochs of a sample.
TEST(RandomCrop, AllCornersAndFlipsAreEquallyFrequent) {
  constexpr int draws = 162 * 200;
  for (const bool over_samples : {true, false}) {
    std::map<std::array<std::uint32_t, 3>, int> counts;
    for (std::uint64_t i = 0; i < draws; ++i) {
      const Crop crop = over_samples ? random_crop(1, 0, i) : random_crop(1, i, 0);
      ++counts[{crop.top, crop.left, crop.flipped ? 1U : 0U}];
    }
    ASSERT_EQ(counts.size(), 162U);
    double chi_square = 0;
    for (const auto& [crop, count] : counts) {
      EXPECT_LE(crop[0], 8U);
      EXPECT_LE(crop[1], 8U);
      chi_square += (count - 200.0) * (count - 200.0) / 200.0;
    }
    EXPECT_LT(chi_square, 250) << over_samples;
  }
}

// Neighbouring seeds and epochs must not give one sample the crop of another.
TEST(RandomCrop, SeedsAndEpochsDoNotMeetAgain) {
  std::set<std::vector<std::uint32_t>> sequences;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (std::uint64_t epoch = 0; epoch < 20; ++epoch) {
      std::vector<std::uint32_t> sequence;
      for (std::uint64_t index = 0; index < 20; ++index) {
        const Crop crop = random_crop(seed, epoch, index);
        sequence.insert(sequence.end(), {crop.top, crop.left, crop.flipped ? 1U : 0U});
      }
      sequences.insert(sequence);
    }
  }
  EXPECT_EQ(sequences.size(), 400U);
}

Bytes cropped(const Bytes& image, const PlaneShape& shape, const Crop& crop) {
  Bytes to(image.size(), 77);
  crop_image(image, shape, crop, to);
  return to;
}

const Bytes kTwoPlanes = {1, 2, 3, 4, 5, 6, 101, 102, 103, 104, 105, 106};
constexpr PlaneShape kTwoByThree{.channels = 2, .height = 2, .width = 3};

TEST(CropImage, TheMiddleLeavesTheImageAsItIs) {
  EXPECT_EQ(cropped(kTwoPlanes, kTwoByThree, {}), kTwoPlanes);
}

TEST(CropImage, MovesEveryPlaneAndFillsWithBlack) {
  // The corner one down and one right: the image moves up and left.
  EXPECT_EQ(cropped(kTwoPlanes, kTwoByThree, {.top = 5, .left = 5}),
            (Bytes{5, 6, 0, 0, 0, 0, 105, 106, 0, 0, 0, 0}));
  EXPECT_EQ(cropped(kTwoPlanes, kTwoByThree, {.top = 3, .left = 2}),
            (Bytes{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 101}));
}

TEST(CropImage, FlipsWhatWasCropped) {
  EXPECT_EQ(cropped(kTwoPlanes, kTwoByThree, {.flipped = true}),
            (Bytes{3, 2, 1, 6, 5, 4, 103, 102, 101, 106, 105, 104}));
  EXPECT_EQ(cropped(kTwoPlanes, kTwoByThree, {.top = 5, .left = 5, .flipped = true}),
            (Bytes{0, 6, 5, 0, 0, 0, 0, 106, 105, 0, 0, 0}));
}

// Beyond a small image there is nothing but black.
TEST(CropImage, MayShowNothingOfTheImage) {
  for (const Crop& crop : {Crop{0, 4}, Crop{4, 0}, Crop{8, 4}, Crop{4, 8}, Crop{0, 0}, Crop{8, 8}})
    EXPECT_EQ(cropped(kTwoPlanes, kTwoByThree, crop), Bytes(12)) << crop.top << ", " << crop.left;
}

// Every crop of an image with distinct pixels, against the definition: pad, cut out, mirror.
TEST(CropImage, IsACutOfThePaddedImage) {
  constexpr std::uint32_t height = 7, width = 10;
  const PlaneShape shape{.channels = 3, .height = height, .width = width};
  Bytes image(3 * height * width);
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(i + 1);
  const auto padded = [&](std::uint32_t channel, std::uint32_t y, std::uint32_t x) -> int {
    if (y < 4 || y >= 4 + height || x < 4 || x >= 4 + width) return 0;
    return image[(channel * height + y - 4) * width + x - 4];
  };
  for (std::uint32_t which = 0; which < 162; ++which) {
    const Crop crop{which / 2 / 9, which / 2 % 9, which % 2 == 1};
    const Bytes shown = cropped(image, shape, crop);
    for (std::uint32_t i = 0; i < shown.size(); ++i) {
      const std::uint32_t x = crop.flipped ? width - 1 - i % width : i % width;
      EXPECT_EQ(shown[i], padded(i / width / height, i / width % height + crop.top, x + crop.left));
    }
  }
}

}  // namespace
}  // namespace ampersand::tests::augment_test
