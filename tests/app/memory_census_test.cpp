// What is alive in memory: tensors of known sizes, views, casts of parameters, and blocks that are
// freed and used again.
#include "app/training/memory_census.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/max_pool2d_with_indices.h>
#include <ATen/ops/ones.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace ampersand::tests::memory_census_test {
namespace {

void expect_live(const MemoryCensus& census, const LiveBytes& expected) {
  const auto live = census.live();
  EXPECT_EQ(live.floating, expected.floating) << "floating";
  EXPECT_EQ(live.integer, expected.integer) << "integer";
  EXPECT_EQ(live.copies, expected.copies) << "copies";
  EXPECT_EQ(live.other, expected.other) << "other";
}

TEST(MemoryWatch, CountsWhatLives) {
  MemoryWatch watch;
  EXPECT_EQ(watch.live_bytes(), 0);
  auto thousand = at::empty({1000}, c10::kFloat);
  EXPECT_EQ(watch.live_bytes(), 4000);
  {
    const auto view = thousand.view({10, 100}).t();
    EXPECT_EQ(watch.live_bytes(), 4000);
    const auto halves = at::empty({10, 50}, c10::kHalf);
    EXPECT_EQ(watch.live_bytes(), 5000);
  }
  EXPECT_EQ(watch.live_bytes(), 4000);
  thousand.reset();
  EXPECT_EQ(watch.live_bytes(), 0);
}

TEST(MemoryWatch, PeakIsTheMostAtOnce) {
  MemoryWatch watch;
  EXPECT_EQ(watch.peak_bytes(), 0);
  for (int i = 0; i < 5; ++i) at::empty({100}, c10::kDouble);
  EXPECT_EQ(watch.peak_bytes(), 800);
  const auto kept = at::empty({25}, c10::kFloat);
  at::empty({300}, c10::kFloat);
  EXPECT_EQ(watch.peak_bytes(), 1300);
  EXPECT_EQ(watch.live_bytes(), 100);
}

TEST(MemoryWatch, IgnoresWhatWasThereBefore) {
  auto before = at::empty({1000}, c10::kFloat);
  MemoryWatch watch;
  before.reset();
  EXPECT_EQ(watch.live_bytes(), 0);
}

TEST(MemoryCensus, TellsFloatsFromIntegers) {
  MemoryWatch watch;
  MemoryCensus census(watch, {});
  const auto floats = at::ones({100}, c10::kFloat);
  const auto halves = floats.to(c10::kHalf);
  const auto longs = at::arange(10, c10::kLong);
  const auto mask = floats.gt(0);
  expect_live(census, {.floating = 400 + 200, .integer = 80 + 100});
}

TEST(MemoryCensus, SeesEachOutputOfAnOp) {
  MemoryWatch watch;
  const auto images = at::ones({2, 3, 4, 4}, c10::kFloat);
  MemoryCensus census(watch, {});
  const auto [pooled, indices] = at::max_pool2d_with_indices(images, {2, 2});
  expect_live(census, {.floating = 2 * 3 * 2 * 2 * 4, .integer = 2 * 3 * 2 * 2 * 8});
}

TEST(MemoryCensus, LeavesOutBlocksOlderThanItself) {
  MemoryWatch watch;
  const auto older = at::ones({100}, c10::kFloat);
  MemoryCensus census(watch, {});
  const auto view = older.view({10, 10});
  expect_live(census, {});
  const auto newer = older.add(1);
  expect_live(census, {.floating = 400});
}

TEST(MemoryCensus, LeavesOutWhatIsFreed) {
  MemoryWatch watch;
  MemoryCensus census(watch, {});
  auto kept = at::ones({100}, c10::kFloat);
  kept = kept.mul(2).add(1);
  expect_live(census, {.floating = 400});
  kept.reset();
  expect_live(census, {});
}

TEST(MemoryCensus, CastsOfParametersAreCopies) {
  MemoryWatch watch;
  const auto weight = at::ones({10, 20}, c10::kFloat);
  const auto bias = at::ones({20}, c10::kFloat);
  const auto input = at::ones({5, 10}, c10::kFloat);
  MemoryCensus census(watch, {weight, bias});
  const auto direct = bias.to(c10::kHalf);
  const auto transposed = weight.t().to(c10::kBFloat16);
  const auto view = transposed.t();  // a view of a copy is no other block
  const auto activation = input.to(c10::kHalf);
  expect_live(census, {.floating = 5 * 10 * 2, .copies = 20 * 2 + 200 * 2});
}

TEST(MemoryCensus, AResultOfAParameterIsNoCopy) {
  MemoryWatch watch;
  const auto weight = at::ones({10, 20}, c10::kFloat);
  MemoryCensus census(watch, {weight});
  const auto same = weight.to(c10::kFloat);
  const auto doubled = weight.mul(2);
  expect_live(census, {.floating = 800});
}

TEST(MemoryCensus, WhatNoOpReturnedIsOther) {
  MemoryWatch watch;
  MemoryCensus census(watch, {});
  const auto block = c10::GetCPUAllocator()->allocate(123);
  expect_live(census, {.other = 123});
}

// What the allocator reports when it gives or takes back 800 bytes at an address of our choice.
void report_block(void* address, bool given) {
  c10::reportMemoryUsageToProfiler(address, given ? 800 : -800, 0, 0, c10::kCPU);
}

// An address that is used again holds a new block: neither its age nor its kind is the old one's.
TEST(MemoryCensus, KnowsBlocksThatAreUsedAgain) {
  std::vector<std::int64_t> memory(100);
  const auto tensor_there = [&](c10::ScalarType dtype) {
    return at::from_blob(memory.data(), {100}, dtype).view({10, 10});
  };
  MemoryWatch watch;
  report_block(memory.data(), true);
  MemoryCensus census(watch, {});
  tensor_there(c10::kDouble);
  expect_live(census, {});

  report_block(memory.data(), false);
  report_block(memory.data(), true);
  expect_live(census, {.other = 800});
  tensor_there(c10::kLong);
  expect_live(census, {.integer = 800});

  report_block(memory.data(), false);
  report_block(memory.data(), true);
  tensor_there(c10::kDouble);
  expect_live(census, {.floating = 800});
  report_block(memory.data(), false);
}

// Another thread may have freed a block, of which this one hears nothing.
TEST(MemoryWatch, AnAddressIsCountedOnce) {
  char block = 0;
  MemoryWatch watch;
  report_block(&block, true);
  report_block(&block, true);
  EXPECT_EQ(watch.live_bytes(), 800);
  EXPECT_EQ(watch.peak_bytes(), 800);
  report_block(&block, false);
  EXPECT_EQ(watch.live_bytes(), 0);
}

TEST(MemoryCensus, MayFollowAnother) {
  MemoryWatch watch;
  auto first = std::make_optional<MemoryCensus>(watch, std::vector<at::Tensor>{});
  const auto counted = at::ones({100}, c10::kFloat);
  expect_live(*first, {.floating = 400});
  first.reset();
  const auto between = at::ones({50}, c10::kFloat);
  MemoryCensus second(watch, {});
  const auto newest = at::ones({25}, c10::kFloat);
  expect_live(second, {.floating = 100});
}

}  // namespace
}  // namespace ampersand::tests::memory_census_test
