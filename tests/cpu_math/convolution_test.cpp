// fp16 convolutions and their gradients against the same convolutions in double precision.
#include <torch/csrc/autograd/autograd.h>

#include <array>
#include <cctype>
#include <functional>
#include <ostream>

#include "tests/cpu_math/reference.h"

namespace cpu_math_test::convolution_test {
namespace {

using Sizes = std::vector<std::int64_t>;

struct Case {
  const char* name;
  Sizes input, weight;
  Sizes stride, padding, dilation;
  bool transposed = false;
  Sizes output_padding;
  std::int64_t groups = 1;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"1d", {2, 3, 20}, {5, 3, 4}, {1}, {0}, {1}, false, {0}},
      {"1d, stride and dilation", {2, 3, 20}, {5, 3, 4}, {2}, {3}, {2}, false, {0}},
      {"one pixel", {1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1}, {0, 0}, {1, 1}, false, {0, 0}},
      {"2d", {3, 4, 9, 7}, {6, 4, 3, 3}, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}},
      {"2d, 1x1", {3, 4, 9, 7}, {6, 4, 1, 1}, {1, 1}, {0, 0}, {1, 1}, false, {0, 0}},
      {"2d, uneven", {3, 4, 9, 7}, {6, 4, 3, 2}, {2, 1}, {0, 1}, {1, 2}, false, {0, 0}},
      {"first layer", {2, 1, 28, 28}, {32, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}},
      {"wide", {2, 16, 14, 14}, {32, 16, 3, 3}, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}},
      {"groups", {3, 4, 9, 7}, {6, 2, 3, 3}, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}, 2},
      {"depthwise", {3, 6, 9, 7}, {6, 1, 3, 3}, {2, 2}, {1, 1}, {1, 1}, false, {0, 0}, 6},
      {"3d", {2, 3, 5, 6, 7}, {4, 3, 2, 3, 2}, {1, 2, 1}, {1, 0, 1}, {1, 1, 2}, false, {0, 0, 0}},
      {"1d transposed", {2, 3, 9}, {3, 5, 4}, {2}, {1}, {1}, true, {1}},
      {"2d transposed", {2, 4, 5, 6}, {4, 3, 3, 3}, {2, 3}, {1, 1}, {1, 1}, true, {1, 2}},
      {"transposed, groups", {2, 4, 5, 6}, {4, 3, 3, 3}, {2, 2}, {1, 0}, {2, 2}, true, {1, 0}, 2},
      {"3d transposed",
       {1, 2, 3, 4, 3},
       {2, 3, 2, 2, 2},
       {2, 1, 1},
       {0, 0, 0},
       {1, 1, 1},
       true,
       {1, 0, 0}},
  };
  return all;
}

at::Tensor forward(const Case& c, const at::Tensor& input, const at::Tensor& weight,
                   const at::Tensor& bias) {
  return at::convolution(input, weight, bias, c.stride, c.padding, c.dilation, c.transposed,
                         c.output_padding, c.groups);
}

using Gradients = std::array<at::Tensor, 3>;
Gradients backward(const Case& c, const at::Tensor& grad, const at::Tensor& input,
                   const at::Tensor& weight, std::array<bool, 3> mask) {
  const Sizes bias_sizes = {grad.size(1)};
  const auto [grad_input, grad_weight, grad_bias] =
      at::convolution_backward(grad, input, weight, bias_sizes, c.stride, c.padding, c.dilation,
                               c.transposed, c.output_padding, c.groups, mask);
  return {grad_input, grad_weight, grad_bias};
}

class Convolution : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    at::manual_seed(3);
    const auto& c = GetParam();
    input_ = at::randn(c.input).to(at::kHalf);
    weight_ = (at::randn(c.weight) * 0.3).to(at::kHalf);
    bias_ = at::randn({c.transposed ? c.weight[1] * c.groups : c.weight[0]}).to(at::kHalf);
  }
  // An upper bound for the products that make up one element of anything.
  std::int64_t terms() const { return input_.numel() + weight_.numel(); }
  HalfMath on_{true};
  at::Tensor input_, weight_, bias_;
};

TEST_P(Convolution, Forward) {
  for (const auto& bias : {bias_, at::Tensor()}) {
    const auto wide_bias = bias.defined() ? wide(bias) : bias;
    const auto magnitude_bias = bias.defined() ? wide(bias).abs() : bias;
    expect_rounded_once(
        forward(GetParam(), input_, weight_, bias),
        forward(GetParam(), wide(input_), wide(weight_), wide_bias),
        forward(GetParam(), wide(input_).abs(), wide(weight_).abs(), magnitude_bias),
        weight_.numel() / weight_.size(0));
  }
}

TEST_P(Convolution, BackwardWithEveryMask) {
  const auto& c = GetParam();
  const auto grad = at::randn_like(forward(c, input_, weight_, {}));
  const std::array<bool, 3> everything = {true, true, true};
  const auto exact = backward(c, wide(grad), wide(input_), wide(weight_), everything);
  const auto magnitude =
      backward(c, wide(grad).abs(), wide(input_).abs(), wide(weight_).abs(), everything);
  for (int bits = 0; bits < 8; ++bits) {
    const std::array<bool, 3> mask = {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0};
    const auto gradients = backward(c, grad, input_, weight_, mask);
    for (std::size_t i = 0; i < 3; ++i) {
      SCOPED_TRACE(::testing::Message() << "mask " << bits << ", gradient " << i);
      ASSERT_EQ(gradients[i].defined(), mask[i]);
      if (mask[i]) expect_rounded_once(gradients[i], exact[i], magnitude[i], terms());
    }
  }
}

TEST_P(Convolution, MemoryFormatIsThatOfFp32) {
  const auto format =
      input_.dim() == 5 ? at::MemoryFormat::ChannelsLast3d : at::MemoryFormat::ChannelsLast;
  const auto& c = GetParam();
  const bool has_format = input_.dim() > 3;
  for (const bool last : {false, true}) {
    if (last && !has_format) continue;
    const auto input = last ? input_.contiguous(format) : input_;
    const auto weight = last ? weight_.contiguous(format) : weight_;
    const auto output = forward(c, input, weight, bias_);
    const auto wide_output =
        forward(c, input.to(at::kFloat), weight.to(at::kFloat), bias_.to(at::kFloat));
    EXPECT_EQ(output.strides(), wide_output.strides());
    EXPECT_TRUE(at::equal(output, wide_output.to(at::kHalf)));

    const auto grad = at::randn_like(output);
    const auto ours = backward(c, grad, input, weight, {true, true, true});
    const auto theirs = backward(c, grad.to(at::kFloat), input.to(at::kFloat),
                                 weight.to(at::kFloat), {true, true, true});
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(ours[i].strides(), theirs[i].strides());
  }
}

// The case's name without what GoogleTest does not take.
std::string test_name(const ::testing::TestParamInfo<Case>& test) {
  std::string name = "of";
  for (const char c : std::string(test.param.name)) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) name += c;
    if (c == ' ') name += '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Half, Convolution, ::testing::ValuesIn(cases()), test_name);

TEST(ConvolutionEdges, Unbatched) {
  const HalfMath on(true);
  const auto input = at::randn({4, 9, 7}).to(at::kHalf);
  const auto weight = at::randn({6, 4, 3, 3}).to(at::kHalf);
  expect_identical(at::conv2d(input, weight), at::conv2d(input.unsqueeze(0), weight)[0]);
  expect_identical(
      at::conv_transpose1d(input[0], weight[0][0].unsqueeze(1).expand({3, 1, 3}).repeat({3, 1, 1})),
      at::conv_transpose1d(input[0].unsqueeze(0), weight[0][0].unsqueeze(1).repeat({3, 1, 1}))[0]);
}

TEST(ConvolutionEdges, EmptyBatch) {
  const HalfMath on(true);
  const auto weight = at::randn({6, 4, 3, 3}).to(at::kHalf).requires_grad_();
  const auto input = at::zeros({0, 4, 9, 7}, at::kHalf).requires_grad_();
  const auto output = at::conv2d(input, weight);
  EXPECT_EQ(output.sizes(), at::IntArrayRef({0, 6, 7, 5}));
  output.sum().backward();
  EXPECT_EQ(input.grad().sizes(), input.sizes());
  EXPECT_TRUE((weight.grad() == 0).all().item<bool>());
}

// The gradient of a gradient's norm, as a gradient penalty takes it.
at::Tensor penalty_gradient(const at::Tensor& input, const at::Tensor& weight) {
  const auto x = input.clone().requires_grad_(), w = weight.clone().requires_grad_();
  const auto loss = at::conv2d(x, w).pow(2).mean();
  const auto first = torch::autograd::grad({loss}, {x}, {}, true, true)[0];
  return torch::autograd::grad({first.pow(2).sum()}, {w})[0];
}

TEST(ConvolutionEdges, DoubleBackward) {
  at::manual_seed(6);
  const HalfMath on(true);
  const auto input = at::randn({2, 3, 6, 6}).to(at::kHalf);
  const auto weight = at::randn({4, 3, 3, 3}).to(at::kHalf);
  const auto exact = penalty_gradient(wide(input), wide(weight));
  const auto ours = penalty_gradient(input, weight);
  EXPECT_EQ(ours.scalar_type(), at::kHalf);
  // Several roundings to fp16 on the way.
  EXPECT_LE((wide(ours) - exact).abs().max().item<double>(),
            0.01 * exact.abs().max().item<double>());
}

TEST(ConvolutionEdges, RefusalsAreLibTorchs) {
  const auto input = at::randn({2, 3, 5, 5}).to(at::kHalf);
  const auto weight = at::randn({4, 3, 3, 3}).to(at::kHalf);
  const auto bias = at::randn({4}).to(at::kHalf);
  const std::vector<std::function<void()>> calls = {
      [&] { at::conv2d(input, weight.slice(1, 0, 2)); },
      [&] {
        at::conv2d(input, at::randn({4, 3, 7, 7}).to(at::kHalf));
      },
      [&] { at::conv2d(input, weight, bias.slice(0, 0, 3)); },
      [&] { at::conv2d(input, weight, {}, 1, -1); },
      [&] { at::conv2d(input, weight, {}, 0); },
      [&] { at::conv2d(input, weight.slice(0, 0, 3), {}, 1, at::IntArrayRef(0), 1, 2); },
      [&] { at::conv2d(input, weight.to(at::kFloat)); },
      [&] { at::conv2d(input, weight.to(at::kBFloat16)); },
      [&] { at::conv2d(input.to(at::kFloat), weight); },
      [&] { at::conv2d(input, weight, bias.to(at::kFloat)); },
      [&] { at::conv2d(input, weight.slice(0, 0, 0)); },
      [&] { at::conv1d(input, weight); },
  };
  for (std::size_t i = 0; i < calls.size(); ++i) {
    SCOPED_TRACE(i);
    amp::set_cpu_half_math(false);
    const auto theirs = refusal(calls[i]);
    const HalfMath on(true);
    EXPECT_NE(theirs, "");
    EXPECT_EQ(refusal(calls[i]), theirs);
  }
}

}  // namespace
}  // namespace cpu_math_test::convolution_test
