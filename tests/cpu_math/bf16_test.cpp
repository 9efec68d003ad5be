// bf16 through fp32: the kernels are fp16's, so these look at what is bf16's own.
#include <ATen/autocast_mode.h>
#include <torch/nn/modules/rnn.h>

#include "amp/autocast.h"
#include "tests/cpu_math/reference.h"

namespace cpu_math_test::bf16_test {
namespace {

class Bf16Math {
 public:
  explicit Bf16Math(bool on) { amp::set_cpu_bf16_math(on); }
  ~Bf16Math() { amp::set_cpu_bf16_math(false); }
  Bf16Math(const Bf16Math&) = delete;
  Bf16Math& operator=(const Bf16Math&) = delete;
};

at::Tensor exact_integers(at::IntArrayRef shape) {
  return at::randint(-8, 9, shape, at::kFloat).to(at::kBFloat16);
}

// Sums of small integers are exact in fp32 in any order; so each result is one rounding of them.
TEST(Bf16Math, ProductsRoundOnce) {
  const Bf16Math on(true);
  const auto a = exact_integers({33, 200}), b = exact_integers({200, 17}), c = exact_integers({17});
  const auto product = wide(a).mm(wide(b));
  expect_identical(at::mm(a, b), product.to(at::kBFloat16));
  expect_identical(at::addmm(c, a, b), (product + wide(c)).to(at::kBFloat16));
  expect_identical(at::bmm(a.unsqueeze(0), b.unsqueeze(0))[0], product.to(at::kBFloat16));
  auto out = at::empty({33, 17}, at::kBFloat16);
  at::mm_out(out, a, b);
  expect_identical(out, product.to(at::kBFloat16));
}

TEST(Bf16Math, ConvolutionsRoundOnceForwardAndBackward) {
  const Bf16Math on(true);
  auto images = exact_integers({2, 3, 9, 9}).requires_grad_();
  auto weight = exact_integers({4, 3, 3, 3}).requires_grad_();
  auto reference_images = wide(images.detach()).requires_grad_();
  auto reference_weight = wide(weight.detach()).requires_grad_();
  const auto output = at::conv2d(images, weight);
  const auto reference = at::conv2d(reference_images, reference_weight);
  expect_identical(output.detach(), reference.detach().to(at::kBFloat16));
  output.backward(at::ones_like(output));
  reference.backward(at::ones_like(reference));
  expect_identical(images.grad(), reference_images.grad().to(at::kBFloat16));
  expect_identical(weight.grad(), reference_weight.grad().to(at::kBFloat16));
}

TEST(Bf16Math, FollowsItsOwnSwitch) {
  const HalfMath half_off(false);
  amp::set_cpu_bf16_math(true);
  EXPECT_TRUE(amp::cpu_bf16_math());
  EXPECT_FALSE(amp::cpu_half_math());
  amp::set_cpu_bf16_math(false);
  EXPECT_FALSE(amp::cpu_bf16_math());
  // Told off, it stays off.
  const amp::Autocast autocast(at::kCPU, at::kBFloat16);
  EXPECT_FALSE(amp::cpu_bf16_math());
}

// A whole LSTM layer, which oneDNN does not have in fp16 on most processors, nor in bf16 on old ones.
TEST(LowPrecisionMath, LstmLayersAreFp32sRounded) {
  torch::manual_seed(3);
  torch::nn::LSTM lstm(torch::nn::LSTMOptions(8, 16).num_layers(2).batch_first(true));
  const auto input = at::randn({4, 5, 8});
  const auto run = [&](const at::Tensor& x) { return std::get<0>(lstm->forward(x)); };
  lstm->zero_grad();
  const auto reference = run(input);
  reference.sum().backward();
  const auto wide_gradient = lstm->named_parameters()["weight_ih_l0"].grad().clone();
  const HalfMath half(true);
  const Bf16Math bf16(true);
  for (const auto dtype : {at::kHalf, at::kBFloat16}) {
    lstm->zero_grad();
    at::Tensor output;
    {
      const amp::Autocast autocast(at::kCPU, dtype);
      output = run(input);
    }
    EXPECT_EQ(output.scalar_type(), dtype);
    output.to(at::kFloat).sum().backward();
    const auto gradient = lstm->named_parameters()["weight_ih_l0"].grad();
    EXPECT_EQ(gradient.scalar_type(), at::kFloat);
    // Two layers of roundings to 2^-11 or 2^-8 of values below 1, and sums of 20 of them.
    const double unit = dtype == at::kHalf ? 0x1p-11 : 0x1p-8;
    EXPECT_LT((output.to(at::kFloat) - reference).abs().max().item<double>(), 8 * unit);
    const auto largest = wide_gradient.abs().max().item<double>();
    EXPECT_LT((gradient - wide_gradient).abs().max().item<double>(), 16 * unit * largest);
  }
}

}  // namespace
}  // namespace cpu_math_test::bf16_test
