// Batches: the order of images, how pixels become numbers, and what the last batch holds.
#include "tasks/images/image_batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/app/errors.h"

namespace ampersand::tests::batches_test {
namespace {

using Order = std::vector<std::int64_t>;

const PixelStatistics kHalfAndQuarter{{.mean = 0.5, .deviation = 0.25}};
// With these statistics a normalised pixel is the pixel itself.
constexpr ChannelStatistics kAsItIs{.mean = 0, .deviation = 1.0 / 255};
const PixelStatistics kAsTheyAre{kAsItIs};

// `count` images of 1 x 2 pixels; image i has the label i and the pixels i and 255 - i.
ImageSet numbered(std::uint32_t count) {
  ImageSet set{.count = count, .height = 1, .width = 2, .classes = 256};
  for (std::uint32_t i = 0; i < count; ++i) {
    set.pixels.push_back(static_cast<std::uint8_t>(i));
    set.pixels.push_back(static_cast<std::uint8_t>(255 - i));
    set.labels.push_back(static_cast<std::uint8_t>(i));
  }
  return set;
}

Order values(const at::Tensor& labels) {
  return {labels.const_data_ptr<std::int64_t>(),
          labels.const_data_ptr<std::int64_t>() + labels.numel()};
}

std::vector<float> floats(const at::Tensor& images) {
  const auto wide = images.to(c10::kFloat).contiguous();
  return {wide.const_data_ptr<float>(), wide.const_data_ptr<float>() + wide.numel()};
}

// The labels of all batches: the order of the images.
Order order_of(const ImageBatches& batches) {
  Order order;
  for (std::int64_t i = 0; i < batches.batches(); ++i) {
    const auto labels = values(batches.get(i).targets.at(0));
    order.insert(order.end(), labels.begin(), labels.end());
  }
  return order;
}

Order shuffled(std::uint32_t count, std::uint64_t seed, std::uint64_t epoch) {
  const auto set = numbered(count);
  ImageBatches batches(set, kHalfAndQuarter, {.batch_size = 4});
  batches.shuffle(seed, epoch);
  return order_of(batches);
}

TEST(ImageBatches, AreInOrderUntilShuffled) {
  const auto set = numbered(5);
  EXPECT_EQ(order_of(ImageBatches(set, kHalfAndQuarter, {.batch_size = 2})),
            (Order{0, 1, 2, 3, 4}));
}

// From tests/tasks/common/make_batch_order.py, which knows the C++ standard and no C++.
TEST(ImageBatches, OrderDependsOnSeedAndEpochAlone) {
  EXPECT_EQ(shuffled(10, 0, 0), (Order{6, 3, 2, 1, 7, 5, 8, 4, 0, 9}));
  EXPECT_EQ(shuffled(10, 0, 1), (Order{1, 4, 6, 9, 0, 5, 3, 8, 2, 7}));
  EXPECT_EQ(shuffled(10, 1, 0), (Order{4, 7, 2, 1, 8, 5, 0, 3, 6, 9}));
  EXPECT_EQ(shuffled(10, std::uint64_t{1} << 32, 0), (Order{4, 8, 1, 5, 6, 3, 7, 2, 9, 0}));
}

TEST(ImageBatches, OrderDoesNotDependOnEarlierShuffles) {
  const auto set = numbered(10);
  ImageBatches batches(set, kHalfAndQuarter, {.batch_size = 10});
  batches.shuffle(7, 3);
  batches.shuffle(0, 1);
  EXPECT_EQ(order_of(batches), (Order{1, 4, 6, 9, 0, 5, 3, 8, 2, 7}));
}

TEST(ImageBatches, OrderDoesNotDependOnTheBatchSize) {
  const auto set = numbered(10);
  ImageBatches batches(set, kHalfAndQuarter, {.batch_size = 3});
  batches.shuffle(0, 0);
  EXPECT_EQ(order_of(batches), (Order{6, 3, 2, 1, 7, 5, 8, 4, 0, 9}));
}

TEST(ImageBatches, EveryEpochHasEveryImageOnce) {
  for (const std::uint64_t epoch : {0U, 1U, 2U}) {
    auto order = shuffled(200, 11, epoch);
    std::sort(order.begin(), order.end());
    for (std::int64_t i = 0; i < 200; ++i) ASSERT_EQ(order[static_cast<std::size_t>(i)], i);
  }
}

TEST(ImageBatches, TheLastOneMayBeSmaller) {
  const auto set = numbered(10);
  const ImageBatches uneven(set, kHalfAndQuarter, {.batch_size = 4});
  EXPECT_EQ(uneven.samples(), 10);
  EXPECT_EQ(uneven.batches(), 3);
  EXPECT_EQ(uneven.get(1).inputs.at(0).sizes(), (std::vector<std::int64_t>{4, 1, 1, 2}));
  EXPECT_EQ(uneven.get(2).inputs.at(0).sizes(), (std::vector<std::int64_t>{2, 1, 1, 2}));
  EXPECT_EQ(uneven.get(2).targets.at(0).sizes(), (std::vector<std::int64_t>{2}));
  EXPECT_EQ(ImageBatches(set, kHalfAndQuarter, {.batch_size = 5}).batches(), 2);
  EXPECT_EQ(ImageBatches(set, kHalfAndQuarter, {.batch_size = 11}).batches(), 1);
}

// ((pixel / 255) - 0.5) / 0.25: 0 gives -2, 51 gives -1.2, 255 gives 2.
TEST(ImageBatches, PixelsAreNormalised) {
  const ImageSet set{1, 1, 2, 2, 2, {0, 51, 204, 255}, {0}};
  const auto batch = ImageBatches(set, kHalfAndQuarter, {.batch_size = 1}).get(0);
  EXPECT_EQ(batch.inputs.at(0).sizes(), (std::vector<std::int64_t>{1, 1, 2, 2}));
  const auto pixels = floats(batch.inputs.at(0));
  const std::vector<float> expected = {-2.0F, -1.2F, 1.2F, 2.0F};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(pixels[i], expected[i], 1e-6) << i;
}

// -1.2 lies between neighbours of the low-precision formats; these are the nearest ones.
TEST(ImageBatches, ComeInTheDtypeAskedFor) {
  const ImageSet set{1, 1, 1, 1, 2, {51}, {1}};
  const auto first = [&](c10::ScalarType dtype) {
    const auto batch = ImageBatches(set, kHalfAndQuarter, {.batch_size = 1, .dtype = dtype}).get(0);
    EXPECT_EQ(batch.inputs.at(0).scalar_type(), dtype);
    EXPECT_EQ(batch.targets.at(0).scalar_type(), c10::kLong);
    return floats(batch.inputs.at(0))[0];
  };
  EXPECT_EQ(first(c10::kBFloat16), -1.203125F);
  EXPECT_EQ(first(c10::kHalf), -1.2001953125F);
}

TEST(ImageBatches, PixelsStayWithTheirLabels) {
  const auto set = numbered(10);
  ImageBatches batches(set, kAsTheyAre, {.batch_size = 4});
  batches.shuffle(0, 0);
  const auto pixels = floats(batches.get(1).inputs.at(0));  // the images 7, 5, 8 and 4
  const std::vector<float> expected = {7, 248, 5, 250, 8, 247, 4, 251};
  ASSERT_EQ(pixels.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(pixels[i], expected[i], 1e-4) << i;
}

// Two images of three planes of 2 x 2 pixels: 0 to 11 and 100 to 111.
ImageSet colours() {
  ImageSet set{.count = 2, .channels = 3, .height = 2, .width = 2, .classes = 2, .labels = {0, 1}};
  for (const int first : {0, 100}) {
    for (int i = 0; i < 12; ++i) set.pixels.push_back(static_cast<std::uint8_t>(first + i));
  }
  return set;
}

// The pixels in memory order, which floats() would undo.
std::vector<float> in_memory(const at::Tensor& images) {
  return {images.const_data_ptr<float>(), images.const_data_ptr<float>() + images.numel()};
}

TEST(ImageBatches, EachChannelHasItsStatistics) {
  const auto set = colours();
  const PixelStatistics statistics{
      kAsItIs, {.mean = 5.0 / 255, .deviation = 2.0 / 255}, {.mean = 0.5, .deviation = 0}};
  const auto images = ImageBatches(set, statistics, {}).get(0).inputs.at(0);
  EXPECT_EQ(images.sizes(), (std::vector<std::int64_t>{2, 3, 2, 2}));
  const auto pixels = floats(images);
  const std::vector<float> expected = {0, 1, 2, 3, -0.5, 0, 0.5, 1, 0, 0, 0, 0};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(pixels[i], expected[i], 1e-5) << i;
}

TEST(ImageBatches, ChannelsMayBeLast) {
  const auto set = colours();
  const PixelStatistics statistics(3, kAsItIs);
  const auto planar = ImageBatches(set, statistics, {}).get(0).inputs.at(0);
  const auto images = ImageBatches(set, statistics, {.channels_last = true}).get(0).inputs.at(0);
  EXPECT_TRUE(images.is_contiguous(c10::MemoryFormat::ChannelsLast));
  EXPECT_FALSE(images.is_contiguous());
  EXPECT_EQ(images.sizes(), planar.sizes());
  EXPECT_EQ(floats(images), floats(planar));
  const auto pixels = in_memory(images);
  const std::vector<float> expected = {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, 100, 104};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(pixels[i], expected[i], 1e-4) << i;
}

// Ones of 6 x 6 pixels; what is cut away tells the crop, which is the sample's, not the batch's.
TEST(ImageBatches, AugmentedImagesDependOnSeedEpochAndSampleAlone) {
  constexpr std::uint32_t count = 40;
  ImageSet set{.count = count, .height = 6, .width = 6, .classes = 40};
  for (std::uint32_t i = 0; i < count; ++i) {
    for (int pixel = 1; pixel <= 36; ++pixel)
      set.pixels.push_back(static_cast<std::uint8_t>(pixel));
    set.labels.push_back(static_cast<std::uint8_t>(i));
  }
  // The images in the order of the set, whatever the batches.
  const auto augmented = [&](std::int64_t batch_size, bool shuffled, std::uint64_t seed,
                             std::uint64_t epoch) {
    ImageBatches batches(set, kAsTheyAre, {.batch_size = batch_size, .augment = true});
    if (shuffled) batches.shuffle(seed, epoch);
    std::vector<std::vector<float>> images(count);
    for (std::int64_t i = 0; i < batches.batches(); ++i) {
      const auto batch = batches.get(i);
      const auto labels = values(batch.targets.at(0));
      for (std::size_t k = 0; k < labels.size(); ++k)
        images[static_cast<std::size_t>(labels[k])] =
            floats(batch.inputs.at(0)[static_cast<std::int64_t>(k)]);
    }
    return images;
  };
  const auto first = augmented(40, false, 0, 0);
  EXPECT_EQ(augmented(7, true, 0, 0), first);
  EXPECT_NE(augmented(40, true, 0, 1), first);
  EXPECT_NE(augmented(40, true, 1, 0), first);
  EXPECT_EQ(augmented(40, true, 0, 1), augmented(1, true, 0, 1));
  // tests/tasks/images/make_crops.py: sample 0 is cropped at (2, 2) and so moved by (2, 2), unflipped.
  const std::vector<float> expected = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4};
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(first[0][i], expected[i], 1e-5) << i;
}

// Black pixels surround the image before it is normalised: they become -mean / deviation, not 0.
TEST(ImageBatches, AugmentationPadsWithBlack) {
  const ImageSet set{.count = 1,
                     .height = 2,
                     .width = 2,
                     .classes = 2,
                     .pixels = {255, 255, 255, 255},
                     .labels = {0}};
  const ImageBatches batches(set, kHalfAndQuarter, {.augment = true});
  // Cropped at (2, 2): the image has moved out of sight.
  EXPECT_EQ(floats(batches.get(0).inputs.at(0)), (std::vector<float>(4, -2.0F)));
}

TEST(ImageBatches, RefuseWhatTheyCannotMake) {
  const auto set = numbered(2);
  const auto refusal = [&](const PixelStatistics& statistics, const ImageBatchOptions& options) {
    return error_of<amp::InvalidArgument>([&] { ImageBatches(set, statistics, options); });
  };
  EXPECT_EQ(refusal(kAsTheyAre, {.batch_size = 0}),
            "ImageBatches: batch_size must be at least 1, got 0");
  EXPECT_EQ(refusal(kAsTheyAre, {.dtype = c10::kDouble}),
            "ImageBatches: dtype must be Float, Half or BFloat16, got Double");
  EXPECT_EQ(refusal(PixelStatistics(3), {}),
            "ImageBatches: statistics must be of 1 channel(s), got 3");
}

}  // namespace
}  // namespace ampersand::tests::batches_test
