// Groups, options that change, LibTorch's schedulers, the closure.
#include <torch/optim/adamw.h>
#include <torch/optim/schedulers/reduce_on_plateau_scheduler.h>
#include <torch/optim/schedulers/step_lr.h>

#include <c10/core/GradMode.h>

#include "amp/error.h"
#include "tests/optim/optimizers.h"

namespace amp::tests::groups_test {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(Groups, EachHasItsOwnOptions) {
  auto first = trained({3}), second = trained({3}), third = trained({3});
  optim::SGD optimizer({{.parameters = {first}, .options = {.lr = 0.5}},
                        {.parameters = {second}, .options = {.lr = 0.25, .maximize = true}}});
  optimizer.add_param_group({.parameters = {third}, .options = {.lr = 0.125}});
  for (auto* weight : {&first, &second, &third}) weight->mutable_grad() = tensor({8, 16, 24});
  const auto before = weights_like({3});
  optimizer.step();
  EXPECT_TRUE(identical(first, before - tensor({4, 8, 12})));
  EXPECT_TRUE(identical(second, before + tensor({2, 4, 6})));
  EXPECT_TRUE(identical(third, before - tensor({1, 2, 3})));
}

TEST(Groups, OneAddedThroughTorchHasTheDefaults) {
  auto first = trained({2}), second = trained({2});
  optim::SGD optimizer({first}, {.lr = 0.5});
  torch::optim::Optimizer& base = optimizer;
  base.add_param_group(torch::optim::OptimizerParamGroup({second}));
  EXPECT_EQ(optimizer.options(1).lr, 0.5);
  second.mutable_grad() = tensor({2, 4});
  optimizer.step();
  EXPECT_TRUE(identical(second, weights_like({2}) - tensor({1, 2})));
}

TEST(Groups, AnEmptyExtraGroupIsFine) {
  auto weight = trained({2});
  optim::AdamW optimizer({{.parameters = {weight}}, {.parameters = {}}});
  weight.mutable_grad() = tensor({1, 1});
  EXPECT_NO_THROW(optimizer.step());
}

TEST(Groups, OptionsChangeBetweenSteps) {
  auto weight = trained({2});
  optim::SGD optimizer({weight}, {.lr = 0.5});
  auto options = optimizer.options();
  options.lr = 0.25;
  options.momentum = 0.5;
  optimizer.set_options(options);
  weight.mutable_grad() = tensor({4, 8});
  optimizer.step();
  EXPECT_TRUE(identical(weight, weights_like({2}) - tensor({1, 2})));
  optimizer.step();  // momentum: 4 * 0.5 + 4
  EXPECT_TRUE(identical(weight, weights_like({2}) - tensor({2.5, 5})));
  EXPECT_THAT([&] { optimizer.options(1); },
              ThrowsMessage<InvalidArgument>(HasSubstr("SGD: there is no group 1; it has 1")));
  options.memory.bf16_moments = true;
  EXPECT_THAT([&] { optimizer.set_options(options); },
              ThrowsMessage<InvalidArgument>(HasSubstr("the memory options cannot change")));
  options = optimizer.options();
  options.lr = -1;
  EXPECT_THAT([&] { optimizer.set_options(options); },
              ThrowsMessage<InvalidArgument>(HasSubstr("group 0: lr must be finite and >= 0")));
  EXPECT_EQ(optimizer.options().lr, 0.25);
}

TEST(Groups, MomentumThatIsTurnedOnStartsWithTheGradient) {
  auto weight = trained({1});
  optim::SGD optimizer({weight}, {.lr = 1});
  weight.mutable_grad() = tensor({1});
  optimizer.step();
  optimizer.set_options({.lr = 1, .momentum = 0.5, .dampening = 0.5});
  optimizer.step();  // the buffer is 1, not 0.5
  EXPECT_TRUE(identical(weight, weights_like({1}) - tensor({2})));
}

TEST(Schedulers, StepLrSetsTheRateOfEachGroup) {
  auto first = trained({2}), second = trained({2});
  optim::AdamW optimizer({{.parameters = {first}, .options = {.lr = 0.1}},
                          {.parameters = {second}, .options = {.lr = 0.01}}});
  torch::optim::StepLR scheduler(optimizer, 2, 0.5);
  for (int i = 0; i < 5; ++i) scheduler.step();  // the first counts as step 0
  EXPECT_DOUBLE_EQ(optimizer.options(0).lr, 0.025);
  EXPECT_DOUBLE_EQ(optimizer.options(1).lr, 0.0025);
}

TEST(Schedulers, ReduceOnPlateauDoes) {
  auto weight = trained({2});
  optim::Lamb optimizer({weight}, {.lr = 0.1});
  torch::optim::ReduceLROnPlateauScheduler scheduler(
      optimizer, torch::optim::ReduceLROnPlateauScheduler::min, 0.5F, 1);
  for (int i = 0; i < 4; ++i) scheduler.step(1.0F);
  EXPECT_NEAR(optimizer.options().lr, 0.05, 1e-9);
}

TEST(Closure, IsEvaluatedWithGradientsAndItsLossReturned) {
  auto weight = parameter({3.0});
  optim::SGD optimizer({weight}, {.lr = 0.5});
  c10::NoGradGuard no_grad;
  const auto loss = optimizer.step([&] {
    optimizer.zero_grad();
    auto value = (weight * weight).sum();
    value.backward();
    return value;
  });
  EXPECT_EQ(loss.item<float>(), 9.0F);
  EXPECT_THAT(values(weight), AreExactly(Values{0.0}));
}

TEST(Step, RaisesTheVersionOfWhatItWrites) {
  auto stepped = trained({2}), still = trained({2});
  optim::Adam optimizer({stepped, still});
  stepped.mutable_grad() = tensor({1, 2});
  const auto before = stepped._version(), still_before = still._version();
  optimizer.step();
  EXPECT_GT(stepped._version(), before);
  EXPECT_EQ(still._version(), still_before);
}

TEST(Step, WithoutAnyGradientDoesNothing) {
  auto weight = trained({2});
  optim::Adam optimizer({weight});
  EXPECT_NO_THROW(optimizer.step());
  EXPECT_TRUE(optimizer.state().empty());
}

TEST(Step, FollowsAParameterThatBecomesAnotherDtypeOrOrder) {
  auto weight = trained({2, 3, 4, 5});
  optim::AdamW optimizer({weight}, {.lr = 0.01});
  auto expected = trained({2, 3, 4, 5});
  optim::AdamW reference({expected}, {.lr = 0.01});
  for (int step = 0; step < 4; ++step) {
    if (step == 2) {
      c10::NoGradGuard no_grad;
      weight.set_data(weight.detach().contiguous(at::MemoryFormat::ChannelsLast));
    }
    weight.mutable_grad() = gradient_of_step(step, {2, 3, 4, 5});
    expected.mutable_grad() = gradient_of_step(step, {2, 3, 4, 5});
    optimizer.step();
    reference.step();
  }
  EXPECT_TRUE(identical(weight, expected));
  weight.mutable_grad().reset();
  weight.set_data(weight.detach().to(at::kBFloat16));
  weight.mutable_grad() = gradient_of_step(4, {2, 3, 4, 5});
  optimizer.step();
  EXPECT_EQ(optimizer.fp32_weight(weight).scalar_type(), at::kFloat);
}

}  // namespace
}  // namespace amp::tests::groups_test
