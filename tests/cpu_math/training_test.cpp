// Forward inside an fp16 Autocast, backward after it: both take the fp16 path. And every autograd
// mode.
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <thread>

#include "amp/autocast.h"
#include "amp/error.h"
#include "tests/cpu_math/op_counter.h"
#include "tests/cpu_math/reference.h"

namespace cpu_math_test::training_test {
namespace {

// oneDNN's product is an op of its own, which LibTorch's mm never calls: counting it shows the
// path.
bool fix_onednn() {
  try {
    amp::fix_cpu_fast_engine("onednn");
    return true;
  } catch (const amp::UnsupportedError&) {
    return false;
  }
}

class Training : public ::testing::Test {
 protected:
  void SetUp() override {
    at::manual_seed(4);
    if (!fix_onednn()) GTEST_SKIP() << "this LibTorch has no oneDNN products to count";
  }
  HalfMath on_{true};
};

TEST_F(Training, LinearForwardAndBackwardTakeTheHalfPath) {
  const auto input = at::randn({64, 512}).requires_grad_();
  const auto weight = (at::randn({512, 512}) * 0.05).requires_grad_();
  const auto bias = at::randn({512}).requires_grad_();
  const OpCounter products("mkldnn::_linear_pointwise");
  at::Tensor output;
  {
    const amp::Autocast autocast(at::kCPU, at::kHalf);
    output = at::addmm(bias, input, weight.t());
  }
  EXPECT_EQ(output.scalar_type(), at::kHalf);
  EXPECT_EQ(products.calls(), 1);
  output.backward(at::ones_like(output));
  EXPECT_EQ(products.calls(), 3);

  // The gradients are those of the fp16 operands: products of Half, rounded once, cast to fp32.
  const auto x = wide(input.detach().to(at::kHalf)), w = wide(weight.detach().to(at::kHalf));
  const auto ones = at::ones({64, 512}, at::kDouble);
  EXPECT_EQ(weight.grad().scalar_type(), at::kFloat);
  expect_rounded_once(weight.grad().to(at::kHalf), at::mm(ones.t(), x), at::mm(ones.t(), x.abs()),
                      64);
  expect_rounded_once(input.grad().to(at::kHalf), at::mm(ones, w), at::mm(ones, w.abs()), 512);
  expect_rounded_once(weight.grad().to(at::kHalf), wide(weight.grad()), x.new_zeros({1}), 0);
}

TEST_F(Training, BackwardOnAnotherThread) {
  const auto weight = at::randn({512, 512}).to(at::kHalf).requires_grad_();
  const auto output = at::mm(at::randn({64, 512}).to(at::kHalf), weight);
  const OpCounter products("mkldnn::_linear_pointwise");
  std::thread([&] { output.backward(at::ones_like(output)); }).join();
  EXPECT_EQ(products.calls(), 1);
}

TEST_F(Training, ConvolutionForwardAndBackwardTakeTheHalfPath) {
  const auto input = at::randn({4, 8, 9, 9}).requires_grad_();
  const auto weight = at::randn({16, 8, 3, 3}).requires_grad_();
  at::Tensor output;
  {
    const OpCounter fp32_convolutions("aten::mkldnn_convolution");
    const amp::Autocast autocast(at::kCPU, at::kHalf);
    output = at::conv2d(input, weight);
    EXPECT_EQ(fp32_convolutions.calls(), 1);
  }
  EXPECT_EQ(output.scalar_type(), at::kHalf);
  const OpCounter fp16_gradients("aten::_slow_conv2d_backward");
  output.backward(at::ones_like(output));
  EXPECT_EQ(fp16_gradients.calls(), 0);
  const auto x = wide(input.detach().to(at::kHalf)), w = wide(weight.detach().to(at::kHalf));
  const auto ones = at::ones(output.sizes(), at::kDouble);
  const auto exact = at::convolution_backward(ones, x, w, {}, {1, 1}, {0, 0}, {1, 1}, false, {0, 0},
                                              1, {true, true, false});
  const auto bound = at::convolution_backward(ones, x.abs(), w.abs(), {}, {1, 1}, {0, 0}, {1, 1},
                                              false, {0, 0}, 1, {true, true, false});
  expect_rounded_once(input.grad().to(at::kHalf), std::get<0>(exact), std::get<0>(bound), 144);
  expect_rounded_once(weight.grad().to(at::kHalf), std::get<1>(exact), std::get<1>(bound), 196);
}

TEST_F(Training, SwitchedOffBetweenForwardAndBackward) {
  const auto weight = at::randn({512, 512}).to(at::kHalf).requires_grad_();
  const auto output = at::mm(at::randn({64, 512}).to(at::kHalf), weight);
  amp::set_cpu_half_math(false);
  const OpCounter products("mkldnn::_linear_pointwise");
  output.backward(at::ones_like(output));
  EXPECT_EQ(products.calls(), 0);
}

TEST_F(Training, EveryAutogradModeGivesTheSameValues) {
  const auto a = matrix(32, 40), b = matrix(40, 24), bias = at::randn({24}).to(at::kHalf);
  const auto plain = at::addmm(bias, a, b);
  const auto needy = a.clone().requires_grad_();
  EXPECT_TRUE(at::addmm(bias, needy, b).requires_grad());
  EXPECT_TRUE(at::equal(at::addmm(bias, needy, b).detach(), plain));
  {
    const c10::NoGradGuard no_grad;
    EXPECT_FALSE(at::addmm(bias, needy, b).requires_grad());
    EXPECT_TRUE(at::equal(at::addmm(bias, needy, b), plain));
  }
  {
    const c10::InferenceMode inference;
    EXPECT_TRUE(at::addmm(bias, needy, b).is_inference());
    EXPECT_TRUE(at::equal(at::addmm(bias, needy, b), plain));
    EXPECT_TRUE(at::equal(at::addmm(bias.clone(), a.clone(), b.clone()), plain));
  }
}

TEST_F(Training, EveryAutogradModeConvolves) {
  const auto input = at::randn({2, 3, 6, 6}).to(at::kHalf);
  const auto weight = at::randn({4, 3, 3, 3}).to(at::kHalf);
  const auto plain = at::conv2d(input, weight);
  const auto needy = weight.clone().requires_grad_();
  EXPECT_TRUE(at::equal(at::conv2d(input, needy).detach(), plain));
  const c10::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(at::conv2d(input, needy), plain));
  const c10::InferenceMode inference;
  EXPECT_TRUE(at::equal(at::conv2d(input.clone(), needy.clone()), plain));
}

TEST_F(Training, ExpandedGradients) {  // what sum().backward() hands to mm
  const auto a = matrix(300, 256).requires_grad_(), b = matrix(256, 512).requires_grad_();
  at::mm(a, b).sum().backward();
  const auto ones = at::ones({300, 512}, at::kDouble);
  const auto x = wide(a.detach()), w = wide(b.detach());
  expect_rounded_once(a.grad(), at::mm(ones, w.t()), at::mm(ones, w.t().abs()), 512);
  expect_rounded_once(b.grad(), at::mm(x.t(), ones), at::mm(x.t().abs(), ones), 300);
}

}  // namespace
}  // namespace cpu_math_test::training_test
