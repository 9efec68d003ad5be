// TensorScale: scales by hand, current and delayed, what Inf and NaN do, and its state.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "amp/error.h"
#include "amp/precision.h"

namespace tensor_scale_test {
namespace {

using amp::Format;
using amp::Scaling;
using amp::TensorScale;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(TensorScale, CurrentFillsTheRange) {
  TensorScale scale;
  const auto x = at::tensor({0.0f, 0.5f, -7.0f, 3.5f});
  const auto found = scale.quantize(x);
  EXPECT_EQ(scale.scale(), 64);  // 448 / 7
  EXPECT_TRUE(at::equal(found, x));
  scale.quantize(at::tensor({1e-6f, -2e-7f}));
  EXPECT_NEAR(scale.scale(), 448e6, 448);
  TensorScale wide({.format = Format::e5m2});
  wide.quantize(at::tensor({28.0f}));
  EXPECT_EQ(wide.scale(), 2048);  // 57344 / 28
}

TEST(TensorScale, TheLargestValueNeverSaturates) {
  for (const double amax : {3.0, 0.1, 1.7e-5, 1e30}) {
    TensorScale scale;
    const auto x = at::full({1}, amax, c10::kFloat);
    const auto codes = scale.encode(x);
    EXPECT_EQ(codes.codes.scalar_type(), c10::kFloat8_e4m3fn);
    EXPECT_LE(double{static_cast<float>(amax)} * codes.scale, 448) << amax;
    const auto back = amp::decode(codes.codes, codes.scale);
    EXPECT_NEAR(back.item<double>(), amax, amax * 1e-6);
  }
}

TEST(TensorScale, MarginAndPowersOfTwo) {
  TensorScale scale({.margin = 2, .power_of_two = true});
  scale.update(3);  // 448 / 3 / 4 = 37.3
  EXPECT_EQ(scale.scale(), 32);
  TensorScale more({.margin = -1});
  more.update(7);
  EXPECT_EQ(more.scale(), 128);
}

TEST(TensorScale, DelayedUsesTheTensorsBefore) {
  TensorScale scale({.scaling = Scaling::delayed, .history_length = 2});
  const auto with_amax = [&](float amax) {
    scale.quantize(at::tensor({amax}));
    return scale.scale();
  };
  EXPECT_EQ(scale.scale(), 1);
  EXPECT_EQ(scale.quantize(at::tensor({1000.0f})).item<float>(), 448);  // saturated with scale 1
  EXPECT_NEAR(scale.scale(), 0.448, 1e-7);
  EXPECT_NEAR(with_amax(7), 0.448, 1e-7);  // the largest of 7 and 1000
  EXPECT_EQ(with_amax(3.5f), 64);          // of 3.5 and 7
  EXPECT_EQ(scale.state_dict().amax_history, (std::vector<double>{3.5, 7}));
}

TEST(TensorScale, MostRecent) {
  TensorScale scale({.scaling = Scaling::delayed, .amax = amp::AmaxChoice::most_recent});
  scale.update(448);
  scale.update(7);
  EXPECT_EQ(scale.scale(), 64);
  scale.update(0);  // nothing to go by: as it was
  EXPECT_EQ(scale.scale(), 64);
}

TEST(TensorScale, DelayedEncodeReturnsTheScaleItUsed) {
  TensorScale scale({.scaling = Scaling::delayed});
  scale.update(7);
  const auto codes = scale.encode(at::tensor({3.5f}));
  EXPECT_EQ(codes.scale, 64);
  EXPECT_EQ(amp::decode(codes.codes, codes.scale).item<float>(), 3.5f);
}

TEST(TensorScale, InfAndNaNHaveNoPart) {
  for (const auto scaling : {Scaling::current, Scaling::delayed}) {
    TensorScale scale({.scaling = scaling});
    const auto found = scale.quantize(at::tensor({kInf, 7.0f, kNaN, -kInf}));
    EXPECT_EQ(scale.scale(), 64);
    EXPECT_TRUE(std::isnan(found[2].item<float>()));
    EXPECT_EQ(found[0].item<float>(), scaling == Scaling::current ? 7 : 448);
  }
  TensorScale current;
  current.update(7);
  current.quantize(at::tensor({kInf, 0.0f}));
  EXPECT_EQ(current.scale(), 1);
  TensorScale delayed({.scaling = Scaling::delayed});
  delayed.update(7);
  delayed.quantize(at::tensor({kNaN}));
  EXPECT_EQ(delayed.scale(), 64);
}

TEST(TensorScale, StaysInRange) {
  TensorScale scale;
  scale.update(1e-44);
  EXPECT_EQ(scale.scale(), 0x1p126);
  EXPECT_EQ(scale.quantize(at::tensor({0x1p-130f})).item<float>(), 0x1p-130f);
  scale.update(3e38);
  EXPECT_GT(scale.scale(), 0);
  EXPECT_THROW(scale.update(-1), amp::InvalidArgument);
  EXPECT_THROW(scale.update(double{kInf}), amp::InvalidArgument);
  EXPECT_THROW(scale.update(double{kNaN}), amp::InvalidArgument);
}

TEST(TensorScale, StateComesBack) {
  const amp::TensorScaleOptions options{.scaling = Scaling::delayed, .history_length = 3};
  TensorScale scale(options), other(options);
  for (const double amax : {1.0, 5.0, 2.0, 3.0}) scale.update(amax);
  other.load_state_dict(scale.state_dict());
  EXPECT_EQ(other.state_dict(), scale.state_dict());
  scale.update(0.5), other.update(0.5);
  EXPECT_EQ(other.scale(), scale.scale());
  EXPECT_NEAR(scale.scale(), 448 / 3.0, 1e-4);  // 5 has left the history
}

TEST(TensorScale, RefusesAStateThatDoesNotFit) {
  TensorScale scale({.scaling = Scaling::delayed, .history_length = 2});
  scale.update(7);
  const auto before = scale.state_dict();
  EXPECT_THROW(scale.load_state_dict({.scale = 0}), amp::InvalidArgument);
  EXPECT_THROW(scale.load_state_dict({.scale = double{kNaN}}), amp::InvalidArgument);
  EXPECT_THROW(scale.load_state_dict({.amax_history = {-1}}), amp::InvalidArgument);
  EXPECT_THROW(scale.load_state_dict({.amax_history = {1, 2, 3}}), amp::InvalidArgument);
  EXPECT_EQ(scale.state_dict(), before);
  EXPECT_THROW(TensorScale().load_state_dict({.amax_history = {1}}), amp::InvalidArgument);
}

TEST(TensorScale, RefusesWrongOptions) {
  EXPECT_THROW(TensorScale({.format = Format::bf16}), amp::InvalidArgument);
  EXPECT_THROW(TensorScale({.history_length = 0}), amp::InvalidArgument);
  EXPECT_THROW(TensorScale({.margin = 65}), amp::InvalidArgument);
  EXPECT_THROW(TensorScale().quantize(at::ones({2}, c10::kInt)), amp::InvalidArgument);
}

}  // namespace
}  // namespace tensor_scale_test
