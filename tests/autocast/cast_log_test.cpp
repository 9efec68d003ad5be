// CastLog: which rule each op met, and what was cast for it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "amp/autocast.h"
#include "amp/cast_log.h"
#include "amp/error.h"
#include "tests/support/here.h"
#include "tests/support/tensors.h"

namespace amp::tests::cast_log_test {
namespace {

std::map<std::string, CastCount> by_op(const CastLog& log) {
  std::map<std::string, CastCount> counts;
  for (const auto& count : log.counts()) counts[count.op] = count;
  return counts;
}

TEST(CastLog, CountsCallsCastsBytesAndWhatTheCacheServed) {
  const auto weight = here::ones({4, 8}).requires_grad_();
  const auto x = here::ones({2, 8});
  const CastLog log;
  {
    const Autocast autocast(kHere, at::kBFloat16, {.policy = OpPolicy::fast(kHere)});
    auto y = at::linear(x, weight);
    y = at::relu(at::linear(x, weight));
    at::softmax(y, 1);
    at::mse_loss(y, y);
  }
  at::linear(x, weight);  // outside of a region
  auto counts = by_op(log);
  EXPECT_EQ(counts["linear"].rule, CastRule::lower_precision);
  EXPECT_EQ(counts["linear"].calls, 2);
  EXPECT_EQ(counts["linear"].casts, 3) << "the input twice, the weight once";
  EXPECT_EQ(counts["linear"].bytes, 2 * (2 * 16 + 32));
  EXPECT_EQ(counts["linear"].served, 1);
  EXPECT_EQ(counts["relu"].rule, CastRule::keep);
  EXPECT_EQ(counts["relu"].calls, 1);
  EXPECT_EQ(counts["softmax.int"].rule, CastRule::fp32_inside);
  EXPECT_EQ(counts["softmax.int"].casts, 0);
  EXPECT_EQ(counts["mse_loss"].casts, 2);
  EXPECT_EQ(counts["mse_loss"].bytes, 2 * 8 * 4);
  EXPECT_EQ(counts.size(), 4U) << "no op inside of these";
  EXPECT_EQ(log.counts().front().op, "linear") << "the most bytes first";
}

TEST(CastLog, WithoutOneNothingIsNotedAndTwoAreRefused) {
  const CastLog log;
  EXPECT_THROW(CastLog(), StateError);
  EXPECT_TRUE(log.counts().empty());
}

TEST(CastLog, ARegionOpenedAfterItsEndKnowsNothingOfIt) {
  { const CastLog log; }
  const Autocast autocast(kHere, at::kBFloat16);
  EXPECT_EQ(at::mm(here::ones({2, 2}), here::ones({2, 2})).scalar_type(), at::kBFloat16);
  const CastLog later;
  at::mm(here::ones({2, 2}), here::ones({2, 2}));
  EXPECT_TRUE(later.counts().empty()) << "this region was opened before";
}

}  // namespace
}  // namespace amp::tests::cast_log_test
