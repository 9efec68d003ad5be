// bf16 and fp16 parameters: masters, split, Kahan, random and nearest rounding.
#include <c10/core/GradMode.h>

#include "amp/error.h"
#include "tests/optim/optimizers.h"

namespace amp::tests::low_precision_test {
namespace {

using optim::LowPrecisionWeights;
using testing::HasSubstr;
using testing::ThrowsMessage;

const std::vector<std::int64_t> kShape = {7, 11};

template <typename Kind>
class LowPrecision : public testing::Test {
 protected:
  using Optimizer = typename Kind::Optimizer;
  using Options = typename Kind::Options;

  static at::Tensor trained_for(Optimizer& optimizer, at::Tensor& parameter, int steps,
                                c10::ScalarType gradient_dtype = at::kFloat) {
    for (int step = 0; step < steps; ++step) {
      parameter.mutable_grad() = gradient_of_step(step, kShape, gradient_dtype);
      optimizer.step();
    }
    return optimizer.fp32_weight(parameter);
  }

  // fp32 training from the same first values.
  static at::Tensor expected(c10::ScalarType dtype, int steps,
                             c10::ScalarType gradient_dtype = at::kFloat) {
    auto weight = weights_like(kShape, dtype).to(at::kFloat).requires_grad_();
    Optimizer optimizer({weight}, full_options<Options>());
    return trained_for(optimizer, weight, steps, gradient_dtype);
  }
};
TYPED_TEST_SUITE(LowPrecision, AllKinds);

TYPED_TEST(LowPrecision, MastersAreFp32TrainingBitForBit) {
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    for (const auto gradient_dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      auto weight = trained(kShape, dtype);
      typename TypeParam::Optimizer optimizer({weight},
                                              full_options<typename TypeParam::Options>());
      const auto master = this->trained_for(optimizer, weight, 20, gradient_dtype);
      EXPECT_TRUE(identical(master, this->expected(dtype, 20, gradient_dtype))) << dtype;
      EXPECT_TRUE(identical(weight, master.to(dtype))) << dtype;
    }
  }
}

TYPED_TEST(LowPrecision, SplitWeightsAreFp32TrainingBitForBit) {
  auto weight = trained(kShape, at::kBFloat16);
  const auto options =
      full_options<typename TypeParam::Options>({.weights = LowPrecisionWeights::split});
  typename TypeParam::Optimizer optimizer({weight}, options);
  const auto whole = this->trained_for(optimizer, weight, 50);
  EXPECT_TRUE(identical(whole, this->expected(at::kBFloat16, 50)));
  // The parameter is the nearest bf16 number, ties away from zero: at most half a step off.
  EXPECT_TRUE((weight.detach().to(at::kFloat) - whole)
                  .abs()
                  .le(whole.abs() * 0x1p-8)
                  .all()
                  .template item<bool>());
}

TYPED_TEST(LowPrecision, KahanIsWithinTheProductOfBothRoundings) {
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    auto weight = trained(kShape, dtype);
    const auto options =
        full_options<typename TypeParam::Options>({.weights = LowPrecisionWeights::kahan});
    typename TypeParam::Optimizer optimizer({weight}, options);
    const auto sum = this->trained_for(optimizer, weight, 20);
    const auto error = (sum - this->expected(dtype, 20)).abs().max().template item<double>();
    EXPECT_LT(error, 3e-4) << dtype;
  }
}

// An update of 1/8 of the distance between bf16 numbers, 4,096 elements: nearest rounding loses all
// of it, random rounding none on average.
TEST(LowPrecision, RandomRoundingKeepsOnAverageWhatNearestLoses) {
  const auto train = [](LowPrecisionWeights weights, std::uint64_t seed) {
    auto weight = at::ones({4096}, at::kBFloat16).to(test_device()).requires_grad_();
    optim::SGD optimizer({weight}, {.lr = 1.0, .memory = {.weights = weights, .seed = seed}});
    for (int step = 0; step < 40; ++step) {
      weight.mutable_grad() = at::full({4096}, -0x1p-10).to(test_device());
      optimizer.step();
    }
    return weight.detach().clone();
  };
  EXPECT_EQ(train(LowPrecisionWeights::nearest, 0).max().item<double>(), 1.0);
  const auto random = train(LowPrecisionWeights::stochastic, 1);
  EXPECT_NEAR(random.to(at::kFloat).mean().item<double>(), 1 + 40 * 0x1p-10, 1e-3);
  EXPECT_TRUE(identical(random, train(LowPrecisionWeights::stochastic, 1)));
  EXPECT_FALSE(identical(random, train(LowPrecisionWeights::stochastic, 2)));
  EXPECT_EQ(train(LowPrecisionWeights::kahan, 0).to(at::kFloat).mean().item<double>(),
            1 + 40 * 0x1p-10 - 0.0);
}

TYPED_TEST(LowPrecision, Bf16MomentsStayNearFp32Ones) {
  auto options = full_options<typename TypeParam::Options>({.bf16_moments = true});
  auto weight = trained(kShape);
  typename TypeParam::Optimizer optimizer({weight}, options);
  const auto result = this->trained_for(optimizer, weight, 20);
  const auto exact = this->expected(at::kFloat, 20);
  EXPECT_LT((result - exact).abs().max().template item<double>(),
            0.02 * exact.abs().max().template item<double>());
}

TYPED_TEST(LowPrecision, AWeightThatWasLoadedReplacesItsMaster) {
  auto weight = trained(kShape, at::kBFloat16);
  typename TypeParam::Optimizer optimizer({weight}, full_options<typename TypeParam::Options>());
  const auto before = this->trained_for(optimizer, weight, 3);
  {
    c10::NoGradGuard no_grad;
    weight[0].fill_(5.0);
  }
  const auto now = optimizer.fp32_weight(weight);
  EXPECT_TRUE(now[0].eq(5.0).all().template item<bool>());
  EXPECT_TRUE(identical(now[1], before[1]));
  // A step on a zero gradient with a rate of zero keeps both.
  auto options = optimizer.options();
  options.lr = 0;
  optimizer.set_options(options);
  weight.mutable_grad() = at::zeros_like(weight.detach());
  optimizer.step();
  EXPECT_TRUE(identical(optimizer.fp32_weight(weight), now));
}

TYPED_TEST(LowPrecision, BeforeTheFirstStepTheFp32WeightIsTheParameter) {
  for (const auto weights : {LowPrecisionWeights::master, LowPrecisionWeights::split,
                             LowPrecisionWeights::kahan, LowPrecisionWeights::nearest}) {
    auto weight = trained(kShape, at::kBFloat16);
    const typename TypeParam::Optimizer optimizer(
        {weight}, full_options<typename TypeParam::Options>({.weights = weights}));
    EXPECT_TRUE(identical(optimizer.fp32_weight(weight), weight.detach().to(at::kFloat)));
  }
}

TYPED_TEST(LowPrecision, SplitRefusesFp16ByName) {
  auto weight = trained(kShape), half = trained(kShape, at::kHalf);
  const auto options =
      full_options<typename TypeParam::Options>({.weights = LowPrecisionWeights::split});
  EXPECT_THAT(([&] {
                typename TypeParam::Optimizer({weight, half}, options);
              }),
              ThrowsMessage<InvalidArgument>(testing::AllOf(
                  HasSubstr("parameter 1 in group 0 (shape [7, 11], Half)"),
                  HasSubstr("memory.weights = split"), HasSubstr("use master or kahan"))));
}

}  // namespace
}  // namespace amp::tests::low_precision_test
