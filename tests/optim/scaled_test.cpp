// Scaled gradients: the unscaling step, the skip, clipping and the two passes as one call.
#include <torch/serialize/archive.h>

#include <limits>
#include <sstream>

#include "amp/error.h"
#include "src/optim/aten_path.h"
#include "tests/optim/optimizers.h"

namespace amp::tests::scaled_test {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const std::vector<std::int64_t> kShape = {3, 5};

at::Tensor scalar(double value) {
  return at::full({}, value, at::TensorOptions().dtype(at::kFloat).device(test_device()));
}

std::string saved(const torch::optim::Optimizer& optimizer) {
  torch::serialize::OutputArchive archive;
  optimizer.save(archive);
  std::ostringstream bytes;
  archive.save_to(bytes);
  return bytes.str();
}

// Every way of a step, for every optimizer.
template <typename Kind>
class Scaled : public testing::Test {
 protected:
  using Optimizer = typename Kind::Optimizer;
  using Options = typename Kind::Options;

  void on_every_path(const std::function<void()>& test) {
    for (const auto path : optim::kPaths) {
      SCOPED_TRACE(static_cast<int>(path));
      const optim::ForceAtenPath forced(path);
      test();
    }
  }
};
TYPED_TEST_SUITE(Scaled, AllKinds);

TYPED_TEST(Scaled, AStepIsTheOneOnUnscaledGradients) {
  this->on_every_path([] {
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      auto weight = trained(kShape), expected = trained(kShape);
      const auto options = full_options<typename TypeParam::Options>();
      typename TypeParam::Optimizer optimizer({weight}, options), plain({expected}, options);
      for (int step = 0; step < 5; ++step) {
        expected.mutable_grad() = gradient_of_step(step, kShape, dtype);
        weight.mutable_grad() = expected.grad() * 64;
        plain.step();
        optimizer.scaled_step(scalar(1.0 / 64), scalar(0));
        ASSERT_TRUE(identical(weight, expected)) << dtype;
        const auto kept = dtype == at::kHalf ? at::kFloat : dtype;
        ASSERT_TRUE(identical(weight.grad(), expected.grad().to(kept))) << dtype;
      }
    }
  });
}

TYPED_TEST(Scaled, S6_12_ASkipUnscalesTheGradientsAndChangesNothingElse) {
  this->on_every_path([] {
    for (const double found_inf : {1.0, 2.0, -1.0, kInf, kNaN}) {
      for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
        auto weight = trained(kShape), low = trained(kShape, at::kBFloat16);
        typename TypeParam::Optimizer optimizer({weight, low},
                                                full_options<typename TypeParam::Options>());
        const auto set_gradients = [&](int step) {
          for (auto* parameter : {&weight, &low})
            parameter->mutable_grad() = gradient_of_step(step, kShape, dtype);
        };
        set_gradients(0);
        optimizer.step();
        set_gradients(1);
        weight.grad()[0][0] = kInf;
        weight.grad()[0][1] = kNaN;
        const auto expected = weight.grad().to(at::kFloat) / 4;
        const auto weight_before = weight.detach().clone(), low_before = low.detach().clone();
        const auto state_before = saved(optimizer);
        optimizer.scaled_step(scalar(0.25), scalar(found_inf));
        EXPECT_TRUE(identical(weight, weight_before)) << found_inf;
        EXPECT_TRUE(identical(low, low_before)) << found_inf;
        EXPECT_EQ(saved(optimizer), state_before) << found_inf;
        EXPECT_TRUE(identical(weight.grad().to(at::kFloat), expected)) << dtype;
        EXPECT_EQ(weight.grad().scalar_type(), dtype == at::kHalf ? at::kFloat : dtype);
      }
    }
  });
}

// A skip in the very first step: the moments do not start with it.
TYPED_TEST(Scaled, ASkipBeforeTheFirstStepLeavesTheFirstStepFirst) {
  this->on_every_path([] {
    auto weight = trained(kShape), expected = trained(kShape);
    const auto options = full_options<typename TypeParam::Options>();
    typename TypeParam::Optimizer optimizer({weight}, options), plain({expected}, options);
    weight.mutable_grad() = gradient_of_step(7, kShape);
    optimizer.scaled_step(scalar(1), scalar(1));
    for (int step = 0; step < 3; ++step) {
      weight.mutable_grad() = gradient_of_step(step, kShape);
      expected.mutable_grad() = gradient_of_step(step, kShape);
      optimizer.scaled_step(scalar(1), scalar(0));
      plain.step();
    }
    EXPECT_TRUE(identical(weight, expected));
  });
}

TYPED_TEST(Scaled, ClippingIsThatOfTorch) {
  this->on_every_path([] {
    auto first = trained({4}), second = trained({2});
    typename TypeParam::Optimizer optimizer({first, second},
                                            full_options<typename TypeParam::Options>());
    // 3, 4 and 12 after unscaling: a norm of 13.
    first.mutable_grad() = tensor({6, 0, 8, 0});
    second.mutable_grad() = tensor({0, -24});
    const auto outcome = optimizer.fused_step(
        {.inv_scale = scalar(0.5), .max_grad_norm = 6.5, .write_back_gradients = true});
    EXPECT_EQ(outcome.grad_norm.template item<float>(), 13.0F);
    EXPECT_EQ(outcome.found_inf.template item<float>(), 0.0F);
    EXPECT_EQ(outcome.grad_norm.dim(), 0);
    EXPECT_EQ(outcome.grad_norm.device(), first.device());
    const double factor = 6.5F / (13.0F + 1e-6F);
    EXPECT_THAT(values(first.grad()), AreWithin(1e-6, Values{3 * factor, 0, 4 * factor, 0}));
    EXPECT_THAT(values(second.grad()), AreWithin(1e-6, Values{0, -12 * factor}));
  });
}

TYPED_TEST(Scaled, OneCallIsTheSeparateCalls) {
  this->on_every_path([] {
    auto weight = trained(kShape), expected = trained(kShape);
    const auto options = full_options<typename TypeParam::Options>();
    typename TypeParam::Optimizer optimizer({weight}, options), separate({expected}, options);
    for (int step = 0; step < 5; ++step) {
      const auto scaled = gradient_of_step(step, kShape) * 1024;
      weight.mutable_grad() = scaled.clone();
      const auto outcome =
          optimizer.fused_step({.inv_scale = scalar(1.0 / 1024), .max_grad_norm = 0.5});
      ASSERT_TRUE(identical(weight.grad(), scaled)) << "left as they were";
      const auto norm = outcome.grad_norm.template item<float>();
      const auto factor = std::min(1.0F, 0.5F / (norm + 1e-6F));
      expected.mutable_grad() = (scaled / 1024).mul_(factor);
      separate.step();
      ASSERT_TRUE(identical(weight, expected));
      EXPECT_NEAR(norm, (scaled / 1024).norm().template item<float>(), 1e-5 * norm);
    }
  });
}

TYPED_TEST(Scaled, AnOverflowThatUnscalingMakesIsFoundToo) {
  this->on_every_path([] {
    auto weight = trained({3});
    const auto before = weight.detach().clone();
    typename TypeParam::Optimizer optimizer({weight}, full_options<typename TypeParam::Options>());
    weight.mutable_grad() = tensor({1e30, 1, 1});
    const auto outcome = optimizer.fused_step({.inv_scale = scalar(1e20)});
    EXPECT_EQ(outcome.found_inf.template item<float>(), 1.0F);
    EXPECT_TRUE(identical(weight, before));
    EXPECT_EQ(optimizer.examine(scalar(1e20)).found_inf.template item<float>(), 1.0F);
    EXPECT_EQ(optimizer.examine({}).found_inf.template item<float>(), 0.0F);
  });
}

TYPED_TEST(Scaled, AnOverflowWithClippingLeavesGradientsUnscaledNotClipped) {
  this->on_every_path([] {
    auto weight = trained({3});
    const auto before = weight.detach().clone();
    typename TypeParam::Optimizer optimizer({weight}, full_options<typename TypeParam::Options>());
    weight.mutable_grad() = tensor({8, kInf, -4});
    const auto outcome = optimizer.fused_step(
        {.inv_scale = scalar(0.25), .max_grad_norm = 1, .write_back_gradients = true});
    EXPECT_EQ(outcome.grad_norm.template item<float>(), kInf);
    EXPECT_TRUE(identical(weight, before));
    EXPECT_THAT(values(weight.grad()), AreExactly(Values{2, kInf, -1}));
  });
}

TYPED_TEST(Scaled, WithoutScaleAndClippingThereIsOnePassAndNoResult) {
  auto weight = trained({3});
  typename TypeParam::Optimizer optimizer({weight}, full_options<typename TypeParam::Options>());
  weight.mutable_grad() = tensor({1, 2, 3});
  const auto outcome = optimizer.fused_step({});
  EXPECT_FALSE(outcome.grad_norm.defined());
  EXPECT_FALSE(outcome.found_inf.defined());
  optimizer.zero_grad();
  EXPECT_FALSE(optimizer.examine({}).found_inf.defined());
}

// The results are used again only when nobody holds them.
TYPED_TEST(Scaled, ResultsThatAreKeptStayWhatTheyWere) {
  auto weight = trained({2});
  typename TypeParam::Optimizer optimizer({weight}, full_options<typename TypeParam::Options>());
  weight.mutable_grad() = tensor({3, 4});
  const auto first = optimizer.examine({});
  weight.mutable_grad() = tensor({6, 8});
  const auto second = optimizer.examine({});
  EXPECT_EQ(first.grad_norm.template item<float>(), 5.0F);
  EXPECT_EQ(second.grad_norm.template item<float>(), 10.0F);
}

TYPED_TEST(Scaled, AGradientThatTwoParametersShareIsUnscaledOnce) {
  this->on_every_path([] {
    auto first = trained({3}), second = trained({3});
    typename TypeParam::Optimizer optimizer({first, second},
                                            full_options<typename TypeParam::Options>());
    first.mutable_grad() = second.mutable_grad() = tensor({8, 16, 24});
    optimizer.scaled_step(scalar(0.125), scalar(0));
    EXPECT_THAT(values(first.grad()), AreExactly(Values{1, 2, 3}));
    EXPECT_TRUE(identical(first, second));
  });
}

TYPED_TEST(Scaled, RefusesScalesThatAreNone) {
  auto weight = trained({3});
  typename TypeParam::Optimizer optimizer({weight}, full_options<typename TypeParam::Options>());
  EXPECT_THAT(
      [&] {
        optimizer.scaled_step(tensor({1, 2}), scalar(0));
      },
      ThrowsMessage<InvalidArgument>(HasSubstr("inv_scale must be one fp32 element")));
  EXPECT_THAT([&] { optimizer.scaled_step(scalar(1), {}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("found_inf must be one fp32 element")));
  EXPECT_THAT([&] { optimizer.fused_step({.max_grad_norm = -1}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("max_grad_norm must be >= 0, got -1")));
}

}  // namespace
}  // namespace amp::tests::scaled_test
