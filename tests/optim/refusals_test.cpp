// Bad input: each refusal by name, and nothing changed.
#include <limits>

#include "amp/error.h"
#include "tests/optim/optimizers.h"

namespace amp::tests::refusals_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

auto refuses(const char* a, const char* b = "", const char* c = "") {
  return ThrowsMessage<InvalidArgument>(AllOf(HasSubstr(a), HasSubstr(b), HasSubstr(c)));
}

template <typename Kind>
class Refusals : public testing::Test {};
TYPED_TEST_SUITE(Refusals, AllKinds);

TYPED_TEST(Refusals, Parameters) {
  using Optimizer = typename TypeParam::Optimizer;
  const auto good = trained({2});
  const auto make = [&](at::Tensor bad) { return [=] { Optimizer({good, bad}); }; };
  EXPECT_THAT(make(at::ones({3}, at::kLong)),
              refuses("parameter 1 in group 0 (shape [3], Long)", "dtype that cannot be trained",
                      "use Float, BFloat16, Half or Double"));
  EXPECT_THAT(make(at::ones({3}, at::kComplexFloat)), refuses("ComplexFloat", "cannot be trained"));
  EXPECT_THAT(make({}), refuses("parameter 1 in group 0 is undefined"));
  EXPECT_THAT(make(trained({3}) * 2), refuses("is not a leaf", "use detach()"));
  EXPECT_THAT(make(at::ones({1}).expand({4})),
              refuses("share memory or lie apart", "contiguous()"));
  EXPECT_THAT(make(at::ones({4, 4}).slice(1, 0, 4, 2)), refuses("share memory or lie apart"));
  EXPECT_THAT(make(at::ones({3}).to_sparse()), refuses("is not dense"));
  EXPECT_THAT(make(good), refuses("parameter 1 in group 0", "is parameter 0 in group 0", "once"));
  EXPECT_THAT([] { Optimizer(std::vector<at::Tensor>{}); },
              refuses("there is no parameter to train", "pass model->parameters()"));
}

TYPED_TEST(Refusals, AddedGroups) {
  const auto weight = trained({2});
  typename TypeParam::Optimizer optimizer({weight});
  EXPECT_THAT([&] { optimizer.add_param_group({.parameters = {weight}}); },
              refuses("parameter 0 in group 1", "is parameter 0 in group 0"));
  EXPECT_THAT([&] { optimizer.add_param_group({.parameters = {at::ones({2}, at::kInt)}}); },
              refuses("parameter 0 in group 1", "cannot be trained"));
  auto options = optimizer.options();
  options.lr = -0.5;
  EXPECT_THAT(
      [&] { optimizer.add_param_group({.parameters = {trained({2})}, .options = options}); },
      refuses("group 1: lr must be finite and >= 0, got -0.5"));
  torch::optim::OptimizerParamGroup foreign({trained({2})},
                                            std::make_unique<torch::optim::OptimizerOptions>());
  EXPECT_THAT([&] { optimizer.add_param_group(foreign); },
              refuses("group 1 has options of", "OptimizerOptions", "give it those of this"));
  EXPECT_EQ(optimizer.param_groups().size(), 1U);
}

TYPED_TEST(Refusals, OptionsOfAll) {
  using Options = typename TypeParam::Options;
  const auto with = [](const std::function<void(Options&)>& change) {
    return [change] {
      Options options;
      change(options);
      typename TypeParam::Optimizer({trained({2})}, options);
    };
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(with([&](auto& o) { o.lr = nan; }), refuses("lr must be finite and >= 0, got nan"));
  EXPECT_THAT(with([&](auto& o) { o.weight_decay = -1; }), refuses("weight_decay must be", "-1"));
  EXPECT_THAT(with([&](auto& o) { o.memory.weights = static_cast<optim::LowPrecisionWeights>(9); }),
              refuses("memory.weights must be one of"));
  if constexpr (requires(Options o) { o.betas; }) {
    EXPECT_THAT(with([&](auto& o) { o.betas[0] = 1; }), refuses("betas must be in [0, 1), got 1"));
    EXPECT_THAT(with([&](auto& o) { o.betas[1] = -0.1; }), refuses("betas must be in [0, 1)"));
    EXPECT_THAT(with([&](auto& o) { o.eps = -1; }), refuses("eps must be finite and >= 0"));
  }
}

TEST(SgdRefusals, Options) {
  const auto make = [](optim::SGDOptions options) {
    return [=] { optim::SGD({trained({2})}, options); };
  };
  EXPECT_THAT(make({.momentum = -0.1}), refuses("SGD: group 0: momentum must be", "-0.1"));
  EXPECT_THAT(make({.nesterov = true}), refuses("nesterov needs a momentum > 0", "set .momentum"));
  EXPECT_THAT(make({.momentum = 0.9, .dampening = 0.1, .nesterov = true}),
              refuses("nesterov needs a dampening of 0, got 0.1"));
  EXPECT_THAT(make({.dampening = std::numeric_limits<double>::infinity()}),
              refuses("dampening must be finite"));
}

TYPED_TEST(Refusals, GradientsChangeNothing) {
  auto first = trained({2, 3}), second = trained({4});
  typename TypeParam::Optimizer optimizer({first, second});
  const auto before = first.detach().clone();
  const auto with = [&](at::Tensor gradient) {
    first.mutable_grad() = at::ones({2, 3}, first.options().requires_grad(false));
    second.mutable_grad() = gradient;
    return [&] { optimizer.step(); };
  };
  EXPECT_THAT(with(at::ones({5})),
              refuses("the gradient of parameter 1 in group 0 (shape [4]", "has shape [5]"));
  EXPECT_THAT(with(at::ones({4}, at::kLong)), refuses("is Long"));
  EXPECT_THAT(with(at::ones({4}, at::TensorOptions(at::kMeta))),
              refuses("is on meta, the parameter on", "move it there"));
  EXPECT_TRUE(identical(first, before));
  EXPECT_TRUE(optimizer.state().empty());
}

TYPED_TEST(Refusals, AScheduledRateThatIsNone) {
  typename TypeParam::Optimizer optimizer({trained({2})});
  EXPECT_THAT([&] { optimizer.param_groups()[0].options().set_lr(-1); },
              refuses("lr must be finite and >= 0, got -1"));
}

TYPED_TEST(Refusals, TheFp32WeightOfAnothersParameter) {
  typename TypeParam::Optimizer optimizer({trained({2})});
  EXPECT_THAT([&] { optimizer.fp32_weight(trained({2})); },
              refuses("fp32_weight() takes a parameter of this optimizer"));
}

}  // namespace
}  // namespace amp::tests::refusals_test
