// What fp16's range does to products and convolutions, and that other dtypes are not touched.
#include "tests/cpu_math/reference.h"  // with ATen.h, which the dispatch headers below want first

#include <ATen/ops/addmm_cpu_dispatch.h>
#include <ATen/ops/baddbmm_cpu_dispatch.h>
#include <ATen/ops/bmm_cpu_dispatch.h>
#include <ATen/ops/convolution_backward_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/convolution_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/mm_cpu_dispatch.h>

#include <cmath>
#include <limits>

namespace cpu_math_test::special_values_test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

at::Tensor half(std::initializer_list<double> values) {
  return at::tensor(at::ArrayRef<double>(values)).to(at::kHalf);
}

// The dot product of two short vectors as mm and as a one-pixel convolution.
void expect_dot(std::initializer_list<double> x, std::initializer_list<double> y, float expected) {
  const auto a = half(x).unsqueeze(0), b = half(y).unsqueeze(0);
  const auto product = at::mm(a, b.t()).item<float>();
  const auto channels = static_cast<std::int64_t>(x.size());
  const auto pixel = at::conv2d(a.view({1, channels, 1, 1}), b.view({1, channels, 1, 1}));
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(product));
    EXPECT_TRUE(std::isnan(pixel.item<float>()));
  } else {
    EXPECT_EQ(product, expected);
    EXPECT_EQ(pixel.item<float>(), expected);
  }
}

TEST(SpecialValues, OverflowIsInfAndNeverSaturates) {
  const HalfMath on(true);
  expect_dot({65504}, {1}, 65504);
  expect_dot({65504, 8}, {1, 1}, 65504);  // 65512 rounds down
  expect_dot({65504, 16}, {1, 1}, kInf);  // 65520 is the tie, and 65504 is odd
  expect_dot({-65504, -16}, {1, 1}, -kInf);
  expect_dot({300, 300}, {300, 300}, kInf);
  expect_dot({60000, 60000, -60000}, {1, 1, 1}, 60000);  // the sum may pass 65504 on its way
}

TEST(SpecialValues, NonFiniteOperandsPropagate) {
  const HalfMath on(true);
  expect_dot({kNan, 1}, {1, 1}, kNan);
  expect_dot({kNan, 1}, {0, 1}, kNan);
  expect_dot({kInf, 1}, {1, 1}, kInf);
  expect_dot({kInf, 1}, {0, 1}, kNan);
  expect_dot({kInf, kInf}, {1, -1}, kNan);
}

TEST(SpecialValues, SubnormalsAreKept) {
  const HalfMath on(true);
  const double smallest = std::exp2(-24);
  expect_dot({smallest}, {1}, std::exp2f(-24));
  expect_dot({smallest}, {1024}, std::exp2f(-14));
  expect_dot({smallest, smallest}, {1, 2}, 3 * std::exp2f(-24));
  expect_dot({smallest}, {0.5}, 0);  // a tie, to even
  expect_dot({smallest}, {-0.75}, -std::exp2f(-24));
  expect_dot({smallest}, {smallest}, 0);
}

TEST(SpecialValues, AddmmOverflowsToInfToo) {
  const HalfMath on(true);
  const auto one = half({1}).unsqueeze(0), most = half({65504});
  EXPECT_EQ(at::addmm(most, one, one * 16).item<float>(), kInf);
  EXPECT_EQ(at::addmm(most, one, one * -16).item<float>(), 65472);
  EXPECT_EQ(at::addmm(half({kNan}), one, one).item<float>() == 0, false);
  EXPECT_EQ(at::addmm(most, one, one, 2, 1).item<float>(), kInf);
  EXPECT_EQ(at::addmm(most, most.unsqueeze(0), one, 2, -1).item<float>(), 65504);
}

TEST(SpecialValues, GradientsOverflowToInf) {
  const HalfMath on(true);
  const auto input = at::full({1, 1, 3, 3}, 300.0).to(at::kHalf);
  const auto weight = at::full({1, 1, 3, 3}, 1.0).to(at::kHalf);
  const auto grad = at::full({1, 1, 1, 1}, 300.0).to(at::kHalf);
  const auto [grad_input, grad_weight, grad_bias] =
      at::convolution_backward(grad, input, weight, at::IntArrayRef({1}), {1, 1}, {0, 0}, {1, 1},
                               false, {0, 0}, 1, {true, true, true});
  EXPECT_TRUE(at::isinf(grad_weight).all().item<bool>());
  EXPECT_TRUE((grad_input == 300).all().item<bool>());
  EXPECT_EQ(grad_bias.item<float>(), 300);
}

// --- other dtypes ---

at::Tensor values(at::IntArrayRef size, at::ScalarType dtype) {
  return (at::randn(size) * 10).to(dtype);
}

void expect_untouched(at::ScalarType dtype) {
  SCOPED_TRACE(c10::toString(dtype));
  const auto a = values({70, 200}, dtype), b = values({90, 200}, dtype).t();
  const auto bias = values({90}, dtype), self = values({70, 90}, dtype);
  expect_identical(at::mm(a, b), at::cpu::mm(a, b));
  expect_identical(at::addmm(bias, a, b), at::cpu::addmm(bias, a, b));
  expect_identical(at::addmm(self, a, b, 2, 3), at::cpu::addmm(self, a, b, 2, 3));
  const auto left = values({3, 20, 30}, dtype), right = values({3, 30, 10}, dtype);
  const auto addend = values({3, 20, 10}, dtype);
  expect_identical(at::bmm(left, right), at::cpu::bmm(left, right));
  expect_identical(at::baddbmm(addend, left, right, 2, 3),
                   at::cpu::baddbmm(addend, left, right, 2, 3));

  auto ours = self.clone(), theirs = self.clone();
  expect_identical(ours.addmm_(a, b), at::cpu::addmm_(theirs, a, b));
  expect_identical(at::mm_out(ours, a, b), at::cpu::mm_out(theirs, a, b));
  expect_identical(at::addmm_out(ours, bias, a, b), at::cpu::addmm_out(theirs, bias, a, b));
  ours = addend.clone(), theirs = addend.clone();
  expect_identical(ours.baddbmm_(left, right), at::cpu::baddbmm_(theirs, left, right));
  expect_identical(at::bmm_out(ours, left, right), at::cpu::bmm_out(theirs, left, right));
}

void expect_convolution_untouched(at::ScalarType dtype) {
  SCOPED_TRACE(c10::toString(dtype));
  namespace stock = at::compositeexplicitautograd;
  const auto input = values({2, 4, 9, 9}, dtype), weight = values({6, 2, 3, 3}, dtype);
  const auto bias = values({6}, dtype), grad = values({2, 6, 5, 5}, dtype);
  const std::vector<std::int64_t> stride = {2, 2}, padding = {1, 1}, dilation = {1, 1},
                                  none = {0, 0};
  expect_identical(
      at::convolution(input, weight, bias, stride, padding, dilation, false, none, 2),
      stock::convolution(input, weight, bias, stride, padding, dilation, false, none, 2));
  const auto sizes = bias.sizes();
  const auto ours = at::convolution_backward(grad, input, weight, sizes, stride, padding, dilation,
                                             false, none, 2, {true, true, true});
  const auto theirs = stock::convolution_backward(grad, input, weight, sizes, stride, padding,
                                                  dilation, false, none, 2, {true, true, true});
  expect_identical(std::get<0>(ours), std::get<0>(theirs));
  expect_identical(std::get<1>(ours), std::get<1>(theirs));
  expect_identical(std::get<2>(ours), std::get<2>(theirs));
}

TEST(OtherDtypes, AreLibTorchsBitForBitWithTheSwitchOn) {
  const HalfMath on(true);
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kDouble, at::kInt, at::kLong})
    expect_untouched(dtype);
  expect_untouched(at::kComplexFloat);
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kDouble})
    expect_convolution_untouched(dtype);
}

TEST(OtherDtypes, SoIsFp16WithTheSwitchOff) {
  const HalfMath off(false);
  expect_untouched(at::kHalf);
  expect_convolution_untouched(at::kHalf);
}

}  // namespace
}  // namespace cpu_math_test::special_values_test
