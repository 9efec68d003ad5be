// format_loss, exponent_histogram and statistics: counts by hand, any dtype and strides.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "amp/error.h"
#include "amp/precision.h"

namespace statistics_test {
namespace {

using amp::Format;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<std::int64_t> counts(const amp::FormatLoss& loss) {
  return {loss.total, loss.nonzero, loss.overflowed, loss.flushed_to_zero, loss.subnormal};
}

using Counts = std::vector<std::int64_t>;

TEST(FormatLoss, ByHand) {
  const auto x = at::tensor({0.0f, -0.0f, kInf, kNaN, 1.0f, 70000.0f, 0x1p-24f, -0x1p-25f, 0x1p-20f,
                             65519.0f, 65520.0f, 3e38f, 0x1p-140f});
  EXPECT_EQ(counts(amp::format_loss(x, Format::fp32)), (Counts{13, 9, 0, 0, 1}));
  EXPECT_EQ(counts(amp::format_loss(x, Format::fp16)), (Counts{13, 9, 3, 2, 2}));
  EXPECT_EQ(counts(amp::format_loss(x, Format::bf16)), (Counts{13, 9, 0, 1, 0}));
  EXPECT_EQ(counts(amp::format_loss(x, Format::e5m2)), (Counts{13, 9, 4, 4, 0}));
  EXPECT_EQ(counts(amp::format_loss(x, Format::e4m3)), (Counts{13, 9, 4, 4, 0}));
}

// At the edges a tie goes to the even neighbour: 0, the smallest normal number, and beyond fp16's
// largest, but not e4m3's.
TEST(FormatLoss, TiesAtTheEdges) {
  const auto one = [](double x, Format format) {
    return counts(amp::format_loss(at::scalar_tensor(x, c10::kFloat), format));
  };
  EXPECT_EQ(one(0x1p-10, Format::e4m3), (Counts{1, 1, 0, 1, 0}));
  EXPECT_EQ(one(0x1.000002p-10, Format::e4m3), (Counts{1, 1, 0, 0, 1}));
  EXPECT_EQ(one(0x1p-6 - 0x1p-10, Format::e4m3), (Counts{1, 1, 0, 0, 0}));
  EXPECT_EQ(one(0x1p-6 - 0x1.1p-10, Format::e4m3), (Counts{1, 1, 0, 0, 1}));
  EXPECT_EQ(one(464, Format::e4m3), (Counts{1, 1, 0, 0, 0}));
  EXPECT_EQ(one(464.1, Format::e4m3), (Counts{1, 1, 1, 0, 0}));
  EXPECT_EQ(one(61440, Format::e5m2), (Counts{1, 1, 1, 0, 0}));
  EXPECT_EQ(one(61439, Format::e5m2), (Counts{1, 1, 0, 0, 0}));
  EXPECT_EQ(one(-0x1p-134, Format::bf16), (Counts{1, 1, 0, 1, 0}));
  EXPECT_EQ(one(0x1.8p-134, Format::bf16), (Counts{1, 1, 0, 0, 1}));
}

// Counted from what rounding makes of the numbers.
TEST(FormatLoss, AgreesWithQuantize) {
  const auto x = at::exp2(at::linspace(-150, 127, 50'001, c10::kFloat));
  for (const auto format : {Format::tf32, Format::bf16, Format::fp16, Format::e4m3, Format::e5m2}) {
    const auto rounded = amp::quantize(x, format, {.saturate = false});
    const auto loss = amp::format_loss(x, format);
    const auto count = [](const at::Tensor& mask) { return mask.sum().item<std::int64_t>(); };
    const auto& info = amp::format_info(format);
    const auto overflowed = count(rounded.isnan()) + count(rounded.isinf());
    EXPECT_EQ(loss.overflowed, overflowed) << info.name;
    EXPECT_EQ(loss.flushed_to_zero, count(at::logical_and(rounded == 0, x != 0))) << info.name;
    EXPECT_EQ(loss.subnormal, count(at::logical_and(rounded != 0, rounded < info.min_normal)))
        << info.name;
  }
}

TEST(FormatLoss, ScaledAsALossScaleDoes) {
  const auto x = at::tensor({0x1p-30f, 1.0f, 60000.0f, kInf});
  EXPECT_EQ(counts(amp::format_loss(x, Format::fp16)), (Counts{4, 3, 0, 1, 0}));
  EXPECT_EQ(counts(amp::format_loss(x, Format::fp16, 1024)), (Counts{4, 3, 1, 0, 1}));
  EXPECT_THROW(amp::format_loss(x, Format::fp16, 0), amp::InvalidArgument);
}

TEST(Statistics, ByHand) {
  const auto x = at::tensor({0.0f, -0.0f, kInf, -kInf, kNaN, -3.5f, 2.0f});
  for (const auto dtype : {c10::kFloat, c10::kHalf, c10::kBFloat16, c10::kDouble}) {
    const auto found = amp::statistics(x.to(dtype));
    EXPECT_EQ(found.amax, 3.5);
    EXPECT_EQ(found.total, 7);
    EXPECT_EQ(found.zeros, 2);
    EXPECT_EQ(found.infs, 2);
    EXPECT_EQ(found.nans, 1);
  }
  const auto none = amp::statistics(at::tensor({kInf, kNaN}));
  EXPECT_EQ(none.amax, 0);
  EXPECT_EQ(amp::statistics(at::tensor({0x1p-149f})).amax, 0x1p-149);
}

TEST(Statistics, AnySizesAndStrides) {
  EXPECT_EQ(amp::statistics(at::empty({0})).total, 0);
  EXPECT_EQ(amp::statistics(at::scalar_tensor(-2.0f)).amax, 2);
  const auto base = at::zeros({200, 300});
  base[7][11] = -5;
  const auto turned = amp::statistics(base.t());
  EXPECT_EQ(turned.amax, 5);
  EXPECT_EQ(turned.zeros, 59999);
  const auto part = amp::statistics(base.narrow(1, 0, 10));  // without the -5
  EXPECT_EQ(part.amax, 0);
  EXPECT_EQ(part.total, 2000);
  const auto repeated = amp::statistics(base.select(0, 7).expand({3, 300}));
  EXPECT_EQ(repeated.total, 900);
  EXPECT_EQ(repeated.zeros, 897);
  EXPECT_EQ(amp::statistics(at::full({1'000'003}, 2.0f)).total, 1'000'003);
}

TEST(ExponentHistogram, ByHand) {
  const auto x = at::tensor({0.0f, -0.0f, kInf, kNaN, kNaN, 1.0f, -1.99f, 2.0f, 0x1p-149f,
                             0x1.8p-127f, 0x1p-126f, 0x1.fffffep127f});
  const auto found = amp::exponent_histogram(x);
  EXPECT_EQ(found.zero, 2);
  EXPECT_EQ(found.inf, 1);
  EXPECT_EQ(found.nan, 2);
  const auto at_exponent = [&](int e) { return found.counts[static_cast<std::size_t>(e + 149)]; };
  EXPECT_EQ(at_exponent(0), 2);
  EXPECT_EQ(at_exponent(1), 1);
  EXPECT_EQ(at_exponent(-149), 1);
  EXPECT_EQ(at_exponent(-127), 1);
  EXPECT_EQ(at_exponent(-126), 1);
  EXPECT_EQ(at_exponent(127), 1);
  std::int64_t sum = 0;
  for (const auto count : found.counts) sum += count;
  EXPECT_EQ(sum, 7);
}

TEST(ExponentHistogram, OfManyNumbersByIlogb) {
  const auto x = at::exp2(at::linspace(-149, 127, 300'001, c10::kFloat)).reshape({-1});
  amp::ExponentHistogram expected;
  const auto* values = x.const_data_ptr<float>();
  for (std::int64_t i = 0; i < x.numel(); ++i)
    ++expected.counts[static_cast<std::size_t>(std::ilogb(values[i]) + 149)];
  EXPECT_EQ(amp::exponent_histogram(x).counts, expected.counts);
  EXPECT_EQ(amp::exponent_histogram(x.to(c10::kDouble)).counts, expected.counts);
  const auto halves = at::tensor({0x1p-24f, 1.0f, 65504.0f}).to(c10::kHalf);
  const auto of_halves = amp::exponent_histogram(halves);
  for (const int e : {-24, 0, 15})
    EXPECT_EQ(of_halves.counts[static_cast<std::size_t>(e + 149)], 1);
  EXPECT_EQ(amp::exponent_histogram(at::empty({0})).zero, 0);
}

TEST(Statistics, RefuseIntegers) {
  const auto x = at::ones({2}, c10::kLong);
  EXPECT_THROW(amp::statistics(x), amp::InvalidArgument);
  EXPECT_THROW(amp::exponent_histogram(x), amp::InvalidArgument);
  EXPECT_THROW(amp::format_loss(x, Format::fp16), amp::InvalidArgument);
}

}  // namespace
}  // namespace statistics_test
