// Constant-factor gradient scaling.
#include <gtest/gtest.h>

#include "amp/error.h"
#include "tests/support/training.h"

namespace amp::tests::scale_grad_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(ScaleGrad, MultipliesEveryGradientInPlace) {
  auto a = parameter({1.0, 2.0}), b = parameter({4.0}, at::kBFloat16),
       c = parameter({8.0}, at::kHalf);
  set_gradient(a, {3.0, -kInf});
  set_gradient(b, {5.0});
  set_gradient(c, {7.0});
  const auto gradient = a.grad();
  scale_grad_({a, b, c}, 0.25);
  EXPECT_TRUE(a.grad().is_same(gradient));
  EXPECT_THAT(values(a.grad()), AreExactly(Values{0.75, -kInf}));
  EXPECT_THAT(values(b.grad()), AreExactly(Values{1.25}));
  EXPECT_THAT(values(c.grad()), AreExactly(Values{1.75}));
  EXPECT_THAT(values(a), AreExactly(Values{1.0, 2.0}));
}

TEST(ScaleGrad, PassesOverParametersWithoutAGradient) {
  auto with = parameter({1.0}), without = parameter({1.0});
  set_gradient(with, {3.0});
  scale_grad_({without, with, at::Tensor()}, 2.0);
  EXPECT_FALSE(without.grad().defined());
  EXPECT_THAT(values(with.grad()), AreExactly(Values{6.0}));
  scale_grad_({}, 2.0);
}

TEST(ScaleGrad, AGradientThatComesTwiceIsScaledOnce) {
  auto weight = parameter({1.0});
  set_gradient(weight, {3.0});
  scale_grad_({weight, weight}, 2.0);
  EXPECT_THAT(values(weight.grad()), AreExactly(Values{6.0}));
}

TEST(ScaleGrad, SparseGradientsToo) {
  auto weight = parameter({1.0, 2.0, 3.0});
  weight.mutable_grad() = tensor({0.0, 4.0, 0.0}).to_sparse();
  scale_grad_({weight}, 0.5);
  EXPECT_TRUE(weight.grad().is_sparse());
  EXPECT_THAT(values(weight.grad().to_dense()), AreExactly(Values{0.0, 2.0, 0.0}));
}

TEST(ScaleGrad, AFactorThatIsNotFiniteIsRefusedAndNothingChanged) {
  auto weight = parameter({1.0});
  set_gradient(weight, {3.0});
  for (const double factor : {kInf, -kInf, kNaN}) {
    EXPECT_THAT([&] { scale_grad_({weight}, factor); },
                ThrowsMessage<InvalidArgument>(HasSubstr("the factor must be finite")));
  }
  EXPECT_THAT(values(weight.grad()), AreExactly(Values{3.0}));
}

TEST(ScaleGrad, MeanOverMicroBatches) {
  auto weight = parameter({1.0});
  for (const double value : {1.0, 2.0, 6.0}) (weight * value).sum().backward();
  scale_grad_({weight}, 1.0 / 3);
  EXPECT_THAT(values(weight.grad()), AreWithin(1e-6, Values{3.0}));
}

}  // namespace
}  // namespace amp::tests::scale_grad_test
