// quantize and quantize_: values by hand, saturation, dtypes, strides, and what is refused.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "amp/error.h"
#include "amp/precision.h"

namespace quantize_test {
namespace {

using amp::Format;
using testing::ElementsAre;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<float> values(const at::Tensor& tensor) {
  const auto flat = tensor.to(c10::kFloat).contiguous();
  const auto* data = flat.const_data_ptr<float>();
  return {data, data + flat.numel()};
}

TEST(Quantize, NearestEvenByHand) {
  const auto x = at::tensor({1.0f, 1.0625f, 1.1875f, -1.07f, 0x1p-10f, 0x1.8p-10f, 300.0f});
  EXPECT_THAT(values(amp::quantize(x, Format::e4m3)),
              ElementsAre(1, 1, 1.25f, -1.125f, 0, 0x1p-9f, 288));
  EXPECT_THAT(values(amp::quantize(x, Format::e5m2)),
              ElementsAre(1, 1, 1.25f, -1, 0x1p-10f, 0x1.8p-10f, 320));
  EXPECT_THAT(values(amp::quantize(at::tensor({1 + 0x1p-8f, 1 + 0x1.8p-7f}), Format::bf16)),
              ElementsAre(1, 1 + 0x1p-6f));
  EXPECT_THAT(values(amp::quantize(at::tensor({2049.0f, 2051.0f}), Format::fp16)),
              ElementsAre(2048, 2052));
}

TEST(Quantize, SaturatesByDefaultInFp8Alone) {
  const auto x = at::tensor({1e9f, -1e9f, kInf, -kInf});
  EXPECT_THAT(values(amp::quantize(x, Format::e4m3)), ElementsAre(448, -448, 448, -448));
  EXPECT_THAT(values(amp::quantize(x, Format::e5m2)), ElementsAre(57344, -57344, 57344, -57344));
  EXPECT_THAT(values(amp::quantize(x, Format::fp16)), ElementsAre(kInf, -kInf, kInf, -kInf));
  EXPECT_THAT(values(amp::quantize(x, Format::bf16)),
              ElementsAre(0x1.dcp29f, -0x1.dcp29f, kInf, -kInf));
}

TEST(Quantize, SaturationOnOffer) {
  const auto x = at::tensor({65519.0f, 65520.0f, kInf, -kInf});
  EXPECT_THAT(values(amp::quantize(x, Format::fp16)), ElementsAre(65504, kInf, kInf, -kInf));
  EXPECT_THAT(values(amp::quantize(x, Format::fp16, {.saturate = true})),
              ElementsAre(65504, 65504, 65504, -65504));
  EXPECT_THAT(values(amp::quantize(x, Format::e5m2, {.saturate = false})),
              ElementsAre(kInf, kInf, kInf, -kInf));
  for (const float value : values(amp::quantize(x, Format::e4m3, {.saturate = false})))
    EXPECT_TRUE(std::isnan(value));
  const auto largest = at::tensor({std::numeric_limits<float>::max()});
  EXPECT_THAT(values(amp::quantize(largest, Format::bf16)), ElementsAre(kInf));
  EXPECT_THAT(values(amp::quantize(largest, Format::bf16, {.saturate = true})),
              ElementsAre(0x1.fep127f));
  EXPECT_THAT(values(amp::quantize(largest, Format::tf32, {.saturate = true})),
              ElementsAre(0x1.ffcp127f));
  EXPECT_THAT(values(amp::quantize(x, Format::fp32)), ElementsAre(65519, 65520, kInf, -kInf));
}

TEST(Quantize, NaNStaysNaN) {
  for (const auto format :
       {Format::fp32, Format::tf32, Format::bf16, Format::fp16, Format::e4m3, Format::e5m2}) {
    for (const auto rounding : {amp::Rounding::nearest_even, amp::Rounding::stochastic}) {
      for (const bool saturate : {false, true}) {
        const auto found = amp::quantize(at::tensor({kNaN, 1.0f}), format,
                                         {.rounding = rounding, .saturate = saturate});
        EXPECT_TRUE(std::isnan(values(found)[0])) << amp::format_name(format);
        EXPECT_EQ(values(found)[1], 1) << amp::format_name(format);
      }
    }
  }
}

TEST(Quantize, ScaleMovesTheGrid) {
  const auto x = at::tensor({0x1p-12f, 1000.0f});
  EXPECT_THAT(values(amp::quantize(x, Format::e4m3)), ElementsAre(0, 448));
  EXPECT_THAT(values(amp::quantize(x, Format::e4m3, {.scale = 0x1p4})), ElementsAre(0x1p-12f, 28));
  EXPECT_THAT(values(amp::quantize(x, Format::e4m3, {.scale = 0x1p-2})), ElementsAre(0, 1024));
}

TEST(Quantize, KeepsTheDtype) {
  const auto x = at::tensor({1.07f, 300.0f});
  for (const auto dtype : {c10::kFloat, c10::kHalf, c10::kBFloat16, c10::kDouble}) {
    const auto found = amp::quantize(x.to(dtype), Format::e4m3);
    EXPECT_EQ(found.scalar_type(), dtype);
    EXPECT_THAT(values(found), ElementsAre(1.125f, 288)) << c10::toString(dtype);
  }
  // 65504 rounds to 2^16 in bf16, which fp16 does not have.
  EXPECT_THAT(values(amp::quantize(at::tensor({65504.0f}).to(c10::kHalf), Format::bf16)),
              ElementsAre(kInf));
}

TEST(Quantize, AnySizesAndStrides) {
  EXPECT_EQ(amp::quantize(at::empty({0, 3}), Format::e4m3).sizes(), (at::IntArrayRef{0, 3}));
  EXPECT_EQ(amp::quantize(at::scalar_tensor(1.07f), Format::e4m3).item<float>(), 1.125f);
  const auto base = at::linspace(-3, 3, 2 * 3 * 4 * 5, c10::kFloat).reshape({2, 3, 4, 5});
  for (const auto rounding : {amp::Rounding::nearest_even, amp::Rounding::stochastic}) {
    const amp::QuantizeOptions options{.rounding = rounding, .seed = 3};
    const auto whole = amp::quantize(base, Format::e5m2, options);
    const auto channels_last = base.contiguous(at::MemoryFormat::ChannelsLast);
    const auto found = amp::quantize(channels_last, Format::e5m2, options);
    EXPECT_TRUE(at::equal(found, whole));
    EXPECT_EQ(found.strides(), channels_last.strides());
    const auto gapped = at::cat({base, base + 1}, 3).narrow(3, 0, 5);
    EXPECT_TRUE(at::equal(amp::quantize(gapped, Format::e5m2, options), whole));
    const auto expanded = base.narrow(0, 0, 1).expand({2, 3, 4, 5});
    EXPECT_EQ(amp::quantize(expanded, Format::e5m2).sizes(), expanded.sizes());
  }
}

TEST(Quantize, InPlace) {
  for (const auto dtype : {c10::kFloat, c10::kHalf, c10::kDouble}) {
    auto x = at::linspace(-3, 3, 60, c10::kFloat).to(dtype).reshape({6, 10});
    const auto expected = amp::quantize(x, Format::e4m3);
    const auto version = x._version();
    const auto* memory = x.const_data_ptr();
    EXPECT_EQ(&amp::quantize_(x, Format::e4m3), &x);
    EXPECT_TRUE(at::equal(x, expected)) << c10::toString(dtype);
    EXPECT_EQ(x.const_data_ptr(), memory);
    EXPECT_GT(x._version(), version);
  }
  auto base = at::full({4, 4}, 1.07f);
  auto column = base.select(1, 2);
  amp::quantize_(column, Format::e4m3);
  EXPECT_EQ(base.sum().item<float>(), 12 * 1.07f + 4 * 1.125f);
}

TEST(Quantize, LeavesTheArgumentAndAutogradAlone) {
  const auto x = at::full({3}, 1.07f).requires_grad_();
  const auto found = amp::quantize(x, Format::e4m3);
  EXPECT_FALSE(found.requires_grad());
  EXPECT_THAT(values(x.detach()), ElementsAre(1.07f, 1.07f, 1.07f));
  auto leaf = x;
  EXPECT_THROW(amp::quantize_(leaf, Format::e4m3), amp::InvalidArgument);
  const c10::NoGradGuard no_grad;
  amp::quantize_(leaf, Format::e4m3);
  EXPECT_THAT(values(x), ElementsAre(1.125f, 1.125f, 1.125f));
}

TEST(Quantize, RefusesWhatItCannotRound) {
  auto integers = at::ones({2}, c10::kInt);
  const auto message = [&](auto&& call) -> std::string {
    try {
      call();
    } catch (const amp::InvalidArgument& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message([&] { amp::quantize(integers, Format::e4m3); }),
            "quantize: x must be fp32, fp16, bf16 or fp64, got Int; cast it first");
  EXPECT_THAT(message([&] { amp::quantize_(integers, Format::e4m3); }),
              testing::StartsWith("quantize_: x must be"));
  EXPECT_THAT(message([&] { amp::encode(at::ones({2}, c10::kComplexFloat), Format::e4m3); }),
              testing::StartsWith("encode: x must be"));
  EXPECT_THAT(message([] { amp::quantize(at::Tensor(), Format::e4m3); }),
              testing::HasSubstr("undefined"));
  EXPECT_THAT(message([] { amp::decode(at::Tensor()); }), testing::HasSubstr("undefined"));
  EXPECT_THAT(message([] { amp::quantize(at::ones({2}).to_sparse(), Format::e4m3); }),
              testing::HasSubstr("sparse"));
  EXPECT_THAT(message([] { amp::quantize(at::ones({2}, c10::kMeta), Format::e4m3); }),
              testing::HasSubstr("meta"));
  for (const double scale : {0.0, -1.0, double{kInf}, double{kNaN}, 1e-39, 1e39}) {
    EXPECT_THAT(message([&] { amp::quantize(at::ones({2}), Format::e4m3, {.scale = scale}); }),
                testing::StartsWith("quantize: scale must be from 2^-126 to 2^126, got "));
  }
}

}  // namespace
}  // namespace quantize_test
