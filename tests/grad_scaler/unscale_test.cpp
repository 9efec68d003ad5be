// Unscaling: the inverse, dtypes, sparse gradients, what counts as non-finite, what is refused.
#include <gtest/gtest.h>

#include "amp/error.h"
#include "tests/support/golden.h"
#include "tests/support/training.h"

namespace amp::tests::unscale_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

// A scaler that may unscale at once.
GradScaler scaler_at(double scale) {
  GradScaler scaler({.init_scale = scale});
  scaler.scale(at::zeros({}));
  return scaler;
}

at::Tensor sparse(const std::vector<std::int64_t>& rows, const Values& numbers, std::int64_t size,
                  c10::ScalarType dtype = at::kFloat) {
  return at::sparse_coo_tensor(at::tensor(rows).unsqueeze(0).to(test_device()),
                               tensor(numbers, dtype), {size});
}

TEST(GradScaler, S1_7_UnscaledGradientsAreTorchsBitForBit) {
  const auto file = golden("grad_scaler.json");
  ASSERT_GE(file["unscale"].size(), 30u);
  for (const auto& given : file["unscale"]) {
    SCOPED_TRACE(given["dtype"].dump() + " at scale " + given["scale"].dump());
    const auto gradient = tensor(numbers(given["gradient"]), dtype_named(given["dtype"]));
    auto weight = at::zeros_like(gradient).requires_grad_();
    weight.mutable_grad() = gradient;
    auto optimizer = sgd({weight});
    auto scaler = scaler_at(given["scale"]);
    scaler.unscale_(optimizer);
    EXPECT_EQ(weight.grad().scalar_type(), dtype_named(given["dtype"]));
    EXPECT_THAT(values(weight.grad()), AreExactly(numbers(given["unscaled"])));
    EXPECT_EQ(scaler.step(optimizer).stepped(), given["stepped"].get<bool>());
  }
}

// 1/3 in double, rounded to fp32, is 0x1.555556p-2; times 3 x 2^100 that is 2^100 exactly.
TEST(GradScaler, S1_7_TheInverseIsTakenInDoubleAndRoundedOnce) {
  Training training({.init_scale = 3.0});
  training.backward({0x1p100, 1.0, 0.0});
  training.scaler.unscale_(training.optimizer);
  EXPECT_THAT(values(training.weight.grad()), AreExactly(Values{0x1p100, 1.0, 0.0}));
  EXPECT_TRUE(training.scaler.step(training.optimizer).stepped());
}

TEST(GradScaler, S1_7_EachUnscaleHasItsOwnFlag) {
  Training training;
  EXPECT_TRUE(training.iterate({kInf, 1.0, 1.0}).skipped());
  EXPECT_TRUE(training.iterate({1.0, 1.0, 1.0}).stepped());
}

TEST(GradScaler, S1_7_DtypesMayMixInOneOptimizer) {
  auto single = parameter({0.0});
  auto brain = parameter({0.0}, at::kBFloat16);
  auto twice = parameter({0.0}, at::kDouble);
  auto without = parameter({5.0});
  auto optimizer = sgd({single, without, brain, twice});
  for (auto* weight : {&single, &brain, &twice}) set_gradient(*weight, {24.0});
  auto scaler = scaler_at(8.0);
  scaler.unscale_(optimizer);
  for (const auto* weight : {&single, &brain, &twice}) {
    EXPECT_THAT(values(weight->grad()), AreExactly(Values{3.0}));
  }
  EXPECT_FALSE(without.grad().defined());
  EXPECT_EQ(brain.grad().scalar_type(), at::kBFloat16);
  EXPECT_EQ(twice.grad().scalar_type(), at::kDouble);
}

TEST(GradScaler, S1_7_AnOverflowInAnyDtypeIsFound) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    auto bad = parameter({0.0}, dtype);
    auto good = parameter({0.0});
    auto optimizer = sgd({good, bad});
    set_gradient(good, {1.0});
    set_gradient(bad, {-kInf});
    EXPECT_TRUE(scaler_at(8.0).step(optimizer).skipped()) << dtype;
  }
}

TEST(GradScaler, S1_8_SparseGradientsAreUnscaledInPlaceAndNotCoalesced) {
  auto weight = parameter({1.0, 2.0, 3.0, 4.0});
  weight.mutable_grad() = sparse({1, 3, 1}, {8.0, 16.0, 24.0}, 4);
  auto optimizer = sgd({weight});
  auto scaler = scaler_at(8.0);
  scaler.unscale_(optimizer);
  EXPECT_TRUE(weight.grad().is_sparse());
  EXPECT_FALSE(weight.grad().is_coalesced());
  EXPECT_THAT(values(weight.grad()._values()), AreExactly(Values{1.0, 2.0, 3.0}));
  EXPECT_TRUE(scaler.step(optimizer).stepped());
  EXPECT_THAT(values(weight), AreExactly(Values{1.0, 1.5, 3.0, 3.75}));
}

TEST(GradScaler, S1_8_AnOverflowInASparseGradientIsFound) {
  auto weight = parameter({1.0, 2.0, 3.0, 4.0});
  weight.mutable_grad() = sparse({1, 3}, {8.0, kNaN}, 4);
  auto optimizer = sgd({weight});
  EXPECT_TRUE(scaler_at(8.0).step(optimizer).skipped());
}

TEST(GradScaler, S1_8_ASparseGradientWithoutValuesIsClean) {
  auto weight = parameter({1.0, 2.0});
  weight.mutable_grad() = sparse({}, {}, 2);
  auto optimizer = sgd({weight});
  EXPECT_TRUE(scaler_at(8.0).step(optimizer).stepped());
}

TEST(GradScaler, S2_1_InfAndNanOfEitherSignAreFoundAnywhere) {
  for (const double bad : {kInf, -kInf, kNaN, -kNaN}) {
    for (const std::size_t at : {0u, 15u, 16u, 36u}) {
      Values gradient(37, 1.0);
      gradient[at] = bad;
      auto weight = parameter(Values(37, 0.0));
      set_gradient(weight, gradient);
      auto optimizer = sgd({weight});
      EXPECT_TRUE(scaler_at(8.0).step(optimizer).skipped()) << bad << " at " << at;
      EXPECT_TRUE(scaler_at(1.0).step(optimizer).skipped()) << bad << " at " << at;
    }
  }
}

TEST(GradScaler, S2_1_TheLargestAndTheSmallestNumbersAreClean) {
  Training training({.init_scale = 1.0});
  training.backward(
      {std::numeric_limits<float>::max(), -std::numeric_limits<float>::max(), 0x1p-149});
  EXPECT_TRUE(training.scaler.step(training.optimizer).stepped());
}

// torch looks at what comes in: 2^127 is finite, 2^127 / 0.25 is not.
TEST(GradScaler, S6_9_OverflowMadeByUnscalingIsFound) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    auto weight = parameter({1.0, 1.0}, dtype);
    set_gradient(weight, {0x1p127, 1.0});
    auto optimizer = sgd({weight});
    auto scaler = scaler_at(0.25);
    EXPECT_TRUE(scaler.step(optimizer).skipped()) << dtype;
    EXPECT_THAT(values(weight), AreExactly(Values{1.0, 1.0})) << dtype;
    EXPECT_THAT(values(weight.grad()), AreExactly(Values{kInf, 4.0})) << dtype;
    scaler.update();
    EXPECT_EQ(scaler.get_scale(), 0.125) << dtype;
  }
}

TEST(GradScaler, S6_9_AScaleBelowOneWithoutOverflowSteps) {
  Training training({.init_scale = 0.25});
  training.backward({1.0, 2.0, 3.0});
  EXPECT_TRUE(training.scaler.step(training.optimizer).stepped());
  EXPECT_THAT(values(training.weight.grad()), AreExactly(Values{1.0, 2.0, 3.0}));
}

TEST(GradScaler, S8_5_HalfGradientsAreRefusedByNameBeforeAnythingIsChanged) {
  auto good = parameter({1.0});
  auto half = parameter({1.0, 2.0, 3.0}, at::kHalf);
  torch::optim::SGD optimizer(
      std::vector<torch::optim::OptimizerParamGroup>{torch::optim::OptimizerParamGroup({good}),
                                                     torch::optim::OptimizerParamGroup({half})},
      torch::optim::SGDOptions(0.125));
  set_gradient(good, {8.0});
  set_gradient(half, {8.0, 8.0, 8.0});
  auto scaler = scaler_at(8.0);
  const auto by_name = ThrowsMessage<InvalidArgument>(
      AllOf(HasSubstr("parameter 0 in group 1"), HasSubstr("[3]"), HasSubstr("Half"),
            HasSubstr("fp16"), HasSubstr("Autocast")));
  EXPECT_THAT([&] { scaler.unscale_(optimizer); }, by_name);
  EXPECT_THAT([&] { scaler.step(optimizer); }, by_name);
  EXPECT_THAT(values(good.grad()), AreExactly(Values{8.0}));
  EXPECT_NO_THROW(scaler.state_dict()) << "no iteration has begun";
  half.mutable_grad().reset();
  EXPECT_TRUE(scaler.step(optimizer).stepped());
  EXPECT_THAT(values(good), AreExactly(Values{0.875}));
}

TEST(GradScaler, S8_5_SparseHalfGradientsAreRefusedToo) {
  auto half = parameter({1.0, 2.0, 3.0, 4.0}, at::kHalf);
  half.mutable_grad() = sparse({0, 2}, {1.0, 1.0}, 4, at::kHalf);
  auto optimizer = sgd({half});
  auto scaler = scaler_at(8.0);
  EXPECT_THAT([&] { scaler.unscale_(optimizer); },
              ThrowsMessage<InvalidArgument>(HasSubstr("parameter 0 in group 0")));
}

TEST(GradScaler, S6_11_AGradientThatCannotBeUnscaledIsRefusedByName) {
  auto good = parameter({1.0});
  auto complex = at::zeros({2}, at::kComplexFloat).requires_grad_();
  auto optimizer = sgd({good, complex});
  set_gradient(good, {8.0});
  complex.mutable_grad() = at::ones({2}, at::kComplexFloat);
  auto scaler = scaler_at(8.0);
  EXPECT_THAT([&] { scaler.unscale_(optimizer); },
              ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("parameter 1 in group 0"),
                                                   HasSubstr("[2]"), HasSubstr("ComplexFloat"))));
  EXPECT_THAT(values(good.grad()), AreExactly(Values{8.0}));
}

TEST(GradScaler, S6_11_AGradientOfAnotherLayoutIsRefusedByName) {
  auto good = parameter({1.0});
  auto weight = at::ones({2, 2}).requires_grad_();
  auto optimizer = sgd({good, weight});
  set_gradient(good, {8.0});
  weight.mutable_grad() = at::ones({2, 2}).to_sparse_csr();
  auto scaler = scaler_at(8.0);
  EXPECT_THAT([&] { scaler.unscale_(optimizer); },
              ThrowsMessage<InvalidArgument>(
                  AllOf(HasSubstr("parameter 1 in group 0"), HasSubstr("SparseCsr"))));
  EXPECT_THAT(values(good.grad()), AreExactly(Values{8.0}));
}

}  // namespace
}  // namespace amp::tests::unscale_test
