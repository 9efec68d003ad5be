// Batches: the order of images, how pixels become numbers, and what the last batch holds.
#include "app/training/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ampersand::tests {
namespace {

using Order = std::vector<std::int64_t>;

const PixelStatistics kHalfAndQuarter{.mean = 0.5, .deviation = 0.25};

// `count` images of 1 x 2 pixels; image i has the label i and the pixels i and 255 - i.
ImageSet numbered(std::uint32_t count) {
  ImageSet set{count, 1, 2, 256, {}, {}};
  for (std::uint32_t i = 0; i < count; ++i) {
    set.pixels.insert(set.pixels.end(),
                      {static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(255 - i)});
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
    const auto labels = values(batches.get(i).labels);
    order.insert(order.end(), labels.begin(), labels.end());
  }
  return order;
}

Order shuffled(std::uint32_t count, std::uint64_t seed, std::uint64_t epoch) {
  const auto set = numbered(count);
  ImageBatches batches(set, kHalfAndQuarter, 4, c10::kFloat);
  batches.shuffle(seed, epoch);
  return order_of(batches);
}

TEST(ImageBatches, AreInOrderUntilShuffled) {
  const auto set = numbered(5);
  EXPECT_EQ(order_of(ImageBatches(set, kHalfAndQuarter, 2, c10::kFloat)), (Order{0, 1, 2, 3, 4}));
}

// From data/make_batch_order.py, which knows the C++ standard and no C++.
TEST(ImageBatches, OrderDependsOnSeedAndEpochAlone) {
  EXPECT_EQ(shuffled(10, 0, 0), (Order{6, 3, 2, 1, 7, 5, 8, 4, 0, 9}));
  EXPECT_EQ(shuffled(10, 0, 1), (Order{1, 4, 6, 9, 0, 5, 3, 8, 2, 7}));
  EXPECT_EQ(shuffled(10, 1, 0), (Order{4, 7, 2, 1, 8, 5, 0, 3, 6, 9}));
  EXPECT_EQ(shuffled(10, std::uint64_t{1} << 32, 0), (Order{4, 8, 1, 5, 6, 3, 7, 2, 9, 0}));
}

TEST(ImageBatches, OrderDoesNotDependOnEarlierShuffles) {
  const auto set = numbered(10);
  ImageBatches batches(set, kHalfAndQuarter, 10, c10::kFloat);
  batches.shuffle(7, 3);
  batches.shuffle(0, 1);
  EXPECT_EQ(order_of(batches), (Order{1, 4, 6, 9, 0, 5, 3, 8, 2, 7}));
}

TEST(ImageBatches, OrderDoesNotDependOnTheBatchSize) {
  const auto set = numbered(10);
  ImageBatches batches(set, kHalfAndQuarter, 3, c10::kFloat);
  batches.shuffle(0, 0);
  EXPECT_EQ(order_of(batches), (Order{6, 3, 2, 1, 7, 5, 8, 4, 0, 9}));
}

TEST(ImageBatches, EveryEpochHasEveryImageOnce) {
  for (const std::uint64_t epoch : {0, 1, 2}) {
    auto order = shuffled(200, 11, epoch);
    std::sort(order.begin(), order.end());
    for (std::int64_t i = 0; i < 200; ++i) ASSERT_EQ(order[static_cast<std::size_t>(i)], i);
  }
}

TEST(ImageBatches, TheLastOneMayBeSmaller) {
  const auto set = numbered(10);
  const ImageBatches uneven(set, kHalfAndQuarter, 4, c10::kFloat);
  EXPECT_EQ(uneven.samples(), 10);
  EXPECT_EQ(uneven.batches(), 3);
  EXPECT_EQ(uneven.get(1).images.sizes(), (std::vector<std::int64_t>{4, 1, 1, 2}));
  EXPECT_EQ(uneven.get(2).images.sizes(), (std::vector<std::int64_t>{2, 1, 1, 2}));
  EXPECT_EQ(uneven.get(2).labels.sizes(), (std::vector<std::int64_t>{2}));
  EXPECT_EQ(ImageBatches(set, kHalfAndQuarter, 5, c10::kFloat).batches(), 2);
  EXPECT_EQ(ImageBatches(set, kHalfAndQuarter, 11, c10::kFloat).batches(), 1);
}

// ((pixel / 255) - 0.5) / 0.25: 0 gives -2, 51 gives -1.2, 255 gives 2.
TEST(ImageBatches, PixelsAreNormalised) {
  const ImageSet set{1, 2, 2, 2, {0, 51, 204, 255}, {0}};
  const auto batch = ImageBatches(set, kHalfAndQuarter, 1, c10::kFloat).get(0);
  EXPECT_EQ(batch.images.sizes(), (std::vector<std::int64_t>{1, 1, 2, 2}));
  const auto pixels = floats(batch.images);
  const std::vector<float> expected = {-2.0F, -1.2F, 1.2F, 2.0F};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(pixels[i], expected[i], 1e-6) << i;
}

// -1.2 lies between neighbours of the low-precision formats; these are the nearest ones.
TEST(ImageBatches, ComeInTheDtypeAskedFor) {
  const ImageSet set{1, 1, 1, 2, {51}, {1}};
  const auto first = [&](c10::ScalarType dtype) {
    const auto batch = ImageBatches(set, kHalfAndQuarter, 1, dtype).get(0);
    EXPECT_EQ(batch.images.scalar_type(), dtype);
    EXPECT_EQ(batch.labels.scalar_type(), c10::kLong);
    return floats(batch.images)[0];
  };
  EXPECT_EQ(first(c10::kBFloat16), -1.203125F);
  EXPECT_EQ(first(c10::kHalf), -1.2001953125F);
}

TEST(ImageBatches, PixelsStayWithTheirLabels) {
  const auto set = numbered(10);
  ImageBatches batches(set, {.mean = 0, .deviation = 1.0 / 255}, 4, c10::kFloat);
  batches.shuffle(0, 0);
  const auto pixels = floats(batches.get(1).images);  // the images 7, 5, 8 and 4
  const std::vector<float> expected = {7, 248, 5, 250, 8, 247, 4, 251};
  ASSERT_EQ(pixels.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(pixels[i], expected[i], 1e-4) << i;
}

}  // namespace
}  // namespace ampersand::tests
