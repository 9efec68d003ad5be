// What the casts do: which tensors are cast, how often, what backward makes of it.
#include <gtest/gtest.h>

#include <stdexcept>

#include "amp/autocast.h"
#include "amp/cpu_math.h"
#include "tests/cpu_math/op_counter.h"
#include "tests/support/here.h"
#include "tests/support/tensors.h"

namespace amp::tests::casts_test {
namespace {

using cpu_math_test::OpCounter;

// In the region's dtype already: only the weight of a product needs a cast.
at::Tensor cast_input() { return here::ones({2, 2}, at::kBFloat16); }
at::Tensor leaf() { return here::full({2, 2}, 3.0).requires_grad_(); }

// Where the processor has no bf16, products convert inside; those conversions are not autocast's.
int casts_of_two_products(const at::Tensor& weight) {
  amp::set_cpu_bf16_math(false);
  const auto input = cast_input();
  const OpCounter casts("aten::_to_copy");
  at::mm(input, weight);
  at::mm(input, weight);
  return casts.calls();
}

TEST(Autocast, S3_3_DoubleAndIntegersAreNotCast) {
  const Autocast autocast(kHere, at::kBFloat16);
  const auto twice = here::ones({2, 2}, at::kDouble);
  EXPECT_EQ(at::mm(twice, twice).scalar_type(), at::kDouble);
  if (!on_cpu()) return;  // CUDA has no products of integers
  const auto whole = here::ones({2, 2}, at::kInt);
  EXPECT_EQ(at::mm(whole, whole).scalar_type(), at::kInt);
}

TEST(Autocast, S3_3_InPlaceAndOutVariantsAreNotCast) {
  const Autocast autocast(kHere, at::kBFloat16);
  const auto single = here::full({2, 2}, 1.0f + 0x1p-20f);
  auto sum = here::zeros({2, 2});
  sum.addmm_(single, single);
  EXPECT_EQ(sum[0][0].item<double>(), 2.0f + 0x1p-18f) << "bf16 would have lost the 2^-20";
  auto out = here::empty({2, 2});
  at::mm_out(out, single, single);
  EXPECT_EQ(out[0][0].item<double>(), 2.0f + 0x1p-18f);
}

TEST(Autocast, S3_3_AnExplicitDtypeIsRespected) {
  const Autocast autocast(kHere, at::kBFloat16);
  const auto low = cast_input();
  EXPECT_EQ(at::softmax(low, 1, at::kDouble).scalar_type(), at::kDouble);
  EXPECT_EQ(at::prod(low, 1, false, at::kDouble).scalar_type(), at::kDouble);
  EXPECT_EQ(at::prod(low, 1).scalar_type(), at::kFloat);
}

TEST(Autocast, S3_4_ALeafWeightIsCastOnce) {
  const Autocast autocast(kHere, at::kBFloat16);
  EXPECT_EQ(casts_of_two_products(leaf()), 1);
}

TEST(Autocast, S3_4_OnlyLeavesThatWantAGradientAreKept) {
  const Autocast autocast(kHere, at::kBFloat16);
  EXPECT_EQ(casts_of_two_products(here::ones({2, 2})), 2) << "wants no gradient";
  EXPECT_EQ(casts_of_two_products(leaf() * 2), 2) << "is no leaf";
}

TEST(Autocast, S3_4_WithoutTheCacheEveryUseCasts) {
  const auto weight = leaf();
  {
    const Autocast autocast(kHere, at::kBFloat16, {.cache_enabled = false});
    EXPECT_EQ(casts_of_two_products(weight), 2);
    {
      const Autocast inner(kHere, at::kBFloat16);
      EXPECT_EQ(casts_of_two_products(weight), 1) << "the flag is the inner region's";
    }
    EXPECT_EQ(casts_of_two_products(weight), 2);
  }
}

TEST(Autocast, S3_4_WithoutTheCacheAChangedWeightIsSeen) {
  const auto weight = leaf();
  const Autocast autocast(kHere, at::kBFloat16, {.cache_enabled = false});
  EXPECT_EQ(at::mm(cast_input(), weight)[0][0].item<double>(), 6.0);
  weight.data().fill_(4.0);
  EXPECT_EQ(at::mm(cast_input(), weight)[0][0].item<double>(), 8.0);
}

TEST(Autocast, S3_4_TheCastsAreDroppedWhenTheOutermostRegionEnds) {
  const auto weight = leaf();
  {
    const Autocast outer(kHere, at::kBFloat16);
    EXPECT_EQ(casts_of_two_products(weight), 1);
    {
      const Autocast inner(kHere, at::kBFloat16);
      EXPECT_EQ(casts_of_two_products(weight), 0) << "the outer region's";
    }
    EXPECT_EQ(casts_of_two_products(weight), 0);
  }
  const Autocast next(kHere, at::kBFloat16);
  EXPECT_EQ(casts_of_two_products(weight), 1);
}

TEST(Autocast, S3_4_AnExceptionDropsTheCastsToo) {
  const auto weight = leaf();
  try {
    const Autocast autocast(kHere, at::kBFloat16);
    at::mm(cast_input(), weight);
    throw std::runtime_error("in the middle");
  } catch (const std::runtime_error&) {
  }
  weight.data().fill_(4.0);
  const Autocast autocast(kHere, at::kBFloat16);
  EXPECT_EQ(at::mm(cast_input(), weight)[0][0].item<double>(), 8.0);
}

// torch: "mat1 and mat2 must have the same dtype, but got Half and BFloat16".
TEST(Autocast, S6_2_ANestedRegionOfAnotherDtypeCastsForItself) {
  const auto weight = leaf();
  const auto input = here::ones({2, 2});
  const Autocast outer(kHere, at::kBFloat16);
  EXPECT_EQ(at::mm(input, weight).scalar_type(), at::kBFloat16);
  {
    const Autocast inner(kHere, at::kHalf);
    EXPECT_EQ(at::mm(input, weight).scalar_type(), at::kHalf);
  }
  EXPECT_EQ(at::mm(input, weight).scalar_type(), at::kBFloat16);
}

TEST(Autocast, S6_2_AlsoAcrossADisabledRegion) {
  const auto weight = leaf();
  const auto input = here::ones({2, 2});
  const Autocast outer(kHere, at::kBFloat16);
  EXPECT_EQ(at::mm(input, weight).scalar_type(), at::kBFloat16);
  {
    const Autocast off(kHere, {}, {.enabled = false});
    EXPECT_EQ(at::mm(input, weight).scalar_type(), at::kFloat);
    {
      const Autocast inner(kHere, at::kHalf);
      EXPECT_EQ(at::mm(input, weight).scalar_type(), at::kHalf);
    }
    EXPECT_EQ(at::mm(input, weight).scalar_type(), at::kFloat);
  }
  EXPECT_EQ(at::mm(input, weight).scalar_type(), at::kBFloat16);
}

TEST(Autocast, S3_6_WeightGradientsAreFp32OnTheGridOfTheRegion) {
  at::manual_seed(5);
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    const auto weight = here::randn({8, 8}).requires_grad_();
    const auto input = here::randn({8, 8});
    at::Tensor loss;
    {
      const Autocast autocast(kHere, dtype);
      loss = at::mm(input, weight).pow(2).sum();
    }
    loss.backward();
    EXPECT_EQ(weight.grad().scalar_type(), at::kFloat);
    EXPECT_THAT(values(weight.grad()), AreExactly(values(weight.grad().to(dtype))));
    EXPECT_GT(weight.grad().abs().max().item<double>(), 0.0);
  }
}

}  // namespace
}  // namespace amp::tests::casts_test
