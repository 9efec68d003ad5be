// Shuffled orders: each number once, whatever the size, and the same on every platform.
#include "tasks/common/permutation.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/app/errors.h"

namespace ampersand::tests::permutation_test {
namespace {

using Order = std::vector<std::int64_t>;

constexpr std::uint64_t kMostSeed = ~std::uint64_t{0};

Order order(std::int64_t size, std::uint64_t seed, std::uint64_t epoch) {
  const Permutation permutation(size, seed, epoch);
  Order numbers;
  for (std::int64_t i = 0; i < size; ++i) numbers.push_back(permutation[i]);
  return numbers;
}

TEST(Permutation, HasEachNumberOnce) {
  for (const std::uint64_t seed :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{42}, kMostSeed}) {
    for (std::int64_t size = 1; size <= 300; ++size) {
      const Order numbers = order(size, seed, 3);
      const std::set<std::int64_t> distinct(numbers.begin(), numbers.end());
      EXPECT_EQ(std::ssize(distinct), size);
      EXPECT_EQ(*distinct.begin(), 0);
      EXPECT_EQ(*distinct.rbegin(), size - 1);
    }
  }
}

// From tests/tasks/common/make_window_order.py, which computes them without any C++.
TEST(Permutation, IsTheSameEverywhere) {
  EXPECT_EQ(order(10, 0, 0), (Order{4, 8, 7, 5, 9, 6, 2, 3, 1, 0}));
  EXPECT_EQ(order(10, 0, 1), (Order{5, 1, 6, 9, 8, 7, 0, 4, 3, 2}));
  EXPECT_EQ(order(10, 1, 0), (Order{2, 6, 9, 7, 0, 3, 8, 5, 4, 1}));
  EXPECT_EQ(order(10, kMostSeed, 7), (Order{6, 0, 4, 5, 8, 3, 7, 2, 9, 1}));
}

TEST(Permutation, TakesNoMemoryForItsLength) {
  const Permutation large(1'000'000'000'000, 3, 2);
  EXPECT_EQ(large[0], 939021386390);
  EXPECT_EQ(large[1], 211685380360);
  EXPECT_EQ(large[999'999'999'999], 190772734990);
  const std::int64_t most = std::int64_t{1} << 62;
  const Permutation largest(most, 3, 2);
  EXPECT_EQ(largest[0], 933850771195414575);
  EXPECT_EQ(largest[1], 1317608415054644674);
  EXPECT_EQ(largest[most - 1], 472325456410879795);
}

// Of 5,000 epochs each number should come first 500 times; 4 standard deviations are 85.
TEST(Permutation, EveryNumberComesFirstAsOften) {
  std::vector<int> first(10);
  for (std::uint64_t epoch = 0; epoch < 5000; ++epoch)
    ++first[static_cast<std::size_t>(Permutation(10, 9, epoch)[0])];
  for (const int count : first) EXPECT_NEAR(count, 500, 85);
}

// Neighbours in the order are neighbours in the text about twice in a whole shuffle.
TEST(Permutation, LeavesFewNeighboursTogether) {
  const Order numbers = order(10'000, 5, 0);
  int together = 0;
  for (std::size_t i = 1; i < numbers.size(); ++i) {
    together += std::abs(numbers[i] - numbers[i - 1]) == 1;
  }
  EXPECT_LT(together, 15);
}

TEST(Permutation, RefusesSizesItCannotOrder) {
  for (const std::int64_t size : {std::int64_t{0}, std::int64_t{-1}, (std::int64_t{1} << 62) + 1}) {
    EXPECT_EQ(error_of<amp::InvalidArgument>([&] { Permutation(size, 0, 0); }),
              "Permutation: size must be 1 to 4611686018427387904, got " + std::to_string(size));
  }
}

}  // namespace
}  // namespace ampersand::tests::permutation_test
