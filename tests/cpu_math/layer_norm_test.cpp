// The gradients of a layer norm's weight and bias in fp16 and bf16, against double precision.
#include <ATen/Parallel.h>

#include "tests/cpu_math/reference.h"

namespace cpu_math_test::layer_norm_test {
namespace {

struct Gradients {
  at::Tensor input, weight, bias;
};

Gradients gradients_of(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                       const at::Tensor& of_output) {
  const auto x = input.detach().clone().requires_grad_();
  const auto w = weight.detach().clone().requires_grad_();
  const auto b = bias.detach().clone().requires_grad_();
  at::layer_norm(x, weight.sizes(), w, b).backward(of_output);
  return {x.grad(), w.grad(), b.grad()};
}

double off(const at::Tensor& got, const at::Tensor& exact) {
  return ((got.to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

void set_math(at::ScalarType dtype, bool on) {
  if (dtype == at::kHalf)
    amp::set_cpu_half_math(on);
  else
    amp::set_cpu_bf16_math(on);
}

struct Case {
  at::ScalarType dtype, weights;
};

class LayerNorm : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    at::manual_seed(11);
    set_math(GetParam().dtype, true);
  }
  void TearDown() override { set_math(GetParam().dtype, false); }

  // Relative errors beside those of double precision on the same numbers.
  void expect_exact(std::vector<std::int64_t> sizes, std::vector<std::int64_t> shape) {
    const auto [dtype, weights] = GetParam();
    const auto input = at::randn(sizes).add(0.3).to(dtype);
    const auto gradient = at::randn(sizes).mul(1e-2).to(dtype);
    const auto weight = at::randn(shape).to(weights), bias = at::randn(shape).to(weights);
    const auto got = gradients_of(input, weight, bias, gradient);
    const auto exact = gradients_of(input.to(at::kDouble), weight.to(at::kDouble),
                                    bias.to(at::kDouble), gradient.to(at::kDouble));
    const double rounding = dtype == at::kHalf ? 0x1p-12 : 0x1p-9;
    EXPECT_EQ(got.weight.scalar_type(), weights);
    EXPECT_EQ(got.bias.scalar_type(), weights);
    EXPECT_EQ(got.input.scalar_type(), dtype);
    // With low-precision weights, LibTorch keeps a row's mean and deviation in low precision, too.
    EXPECT_LT(off(got.weight, exact.weight), weights == at::kFloat ? 1e-5 : 2 * rounding);
    EXPECT_LT(off(got.bias, exact.bias), weights == at::kFloat ? 1e-6 : 2 * rounding);
    EXPECT_LT(off(got.input, exact.input), 2 * rounding);
  }
};

TEST_P(LayerNorm, OfManyRows) { expect_exact({4096, 192}, {192}); }
TEST_P(LayerNorm, OfOneRow) { expect_exact({1, 50}, {50}); }
TEST_P(LayerNorm, OfRowsThatNoVectorDivides) { expect_exact({3, 65, 33}, {33}); }
TEST_P(LayerNorm, OverTwoDimensions) { expect_exact({130, 5, 7}, {5, 7}); }

TEST_P(LayerNorm, OfStridedOperands) {
  const auto [dtype, weights] = GetParam();
  const auto input = at::randn({48, 300}).to(dtype).t();  // [300, 48]
  const auto gradient = at::randn({1, 48}).to(dtype).expand({300, 48});
  const auto weight = at::ones({48}, weights), bias = at::zeros({48}, weights);
  const auto got = gradients_of(input, weight, bias, gradient);
  const auto same = gradients_of(input.contiguous(), weight, bias, gradient.contiguous());
  EXPECT_TRUE(at::equal(got.weight, same.weight));
  EXPECT_TRUE(at::equal(got.bias, same.bias));
}

TEST_P(LayerNorm, OnlyWhatIsAskedFor) {
  const auto [dtype, weights] = GetParam();
  const auto x = at::randn({9, 8}).to(dtype);
  const auto bias = at::zeros({8}, weights).requires_grad_();
  at::layer_norm(x, {8}, at::ones({8}, weights), bias).sum().backward();
  EXPECT_TRUE(at::equal(bias.grad(), at::full({8}, 9, weights)));
}

TEST_P(LayerNorm, TheSameOnAnyNumberOfThreads) {
  const auto [dtype, weights] = GetParam();
  const auto input = at::randn({1000, 40}).to(dtype), gradient = at::randn({1000, 40}).to(dtype);
  const auto weight = at::ones({40}, weights), bias = at::zeros({40}, weights);
  const auto threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = gradients_of(input, weight, bias, gradient);
  at::set_num_threads(3);
  const auto three = gradients_of(input, weight, bias, gradient);
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one.weight, three.weight));
  EXPECT_TRUE(at::equal(one.bias, three.bias));
}

// What this is for; if LibTorch mends it, ours may go.
TEST_P(LayerNorm, LibTorchsOwnSumsAreFarOff) {
  const auto [dtype, weights] = GetParam();
  const auto input = at::randn({4096, 192}).to(dtype);
  const auto gradient = at::randn({4096, 192}).mul(1e-2).to(dtype);
  const auto weight = at::ones({192}, weights), bias = at::zeros({192}, weights);
  set_math(dtype, false);
  const auto stock = gradients_of(input, weight, bias, gradient);
  set_math(dtype, true);
  const auto own = gradients_of(input, weight, bias, gradient);
  const auto exact = gradient.to(at::kDouble).sum(0);
  EXPECT_GT(off(stock.bias, exact), 5 * off(own.bias, exact));
}

INSTANTIATE_TEST_SUITE_P(, LayerNorm,
                         ::testing::Values(Case{at::kHalf, at::kFloat}, Case{at::kHalf, at::kHalf},
                                           Case{at::kBFloat16, at::kFloat},
                                           Case{at::kBFloat16, at::kBFloat16}),
                         [](const auto& one) {
                           return std::string(at::toString(one.param.dtype)) + "With" +
                                  at::toString(one.param.weights);
                         });

}  // namespace
}  // namespace cpu_math_test::layer_norm_test
